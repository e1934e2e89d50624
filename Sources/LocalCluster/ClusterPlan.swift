import Foundation

/// The processes of a cluster on this machine and how each is started.
public struct ClusterPlan: Sendable {
    /// Directory of the built programs.
    public var programs: URL
    public var model: String
    public var prefillWorkers: Int
    public var decodeWorkers: Int
    public var mixedWorkers: Int
    /// Where clients reach the coordinator.
    public var rpc: String
    /// Where workers reach the coordinator.
    public var workers: String
    /// Where HTTP is served; `nil`: nowhere.
    public var http: HTTPAddress?
    /// Compute threads of each worker.
    public var threads: Int
    /// Cores to share out among the workers, so that none has another's; used only if there are enough for all threads.
    public var cores: [Int] = []
    /// Directory in which the workers lend each other cores; `nil`: each keeps its own.
    public var coreLeases: String?
    /// Directory for the processes' logs.
    public var logs: URL
    public var coordinatorArguments: [String] = []
    /// Further arguments of every worker.
    public var workerArguments: [String] = []
    /// How the workers with a batch fill their steps; `nil`: each as is usual for its role.
    public var arm: Arm?
    /// Further arguments of the workers of a role, behind those of every worker.
    public var roleArguments: [String: [String]] = [:]
    public var environment: [String: String] = [:]

    public init(
        programs: URL, model: String, prefillWorkers: Int = 1, decodeWorkers: Int = 1, mixedWorkers: Int = 0,
        rpc: String, workers: String, threads: Int = 1, logs: URL
    ) {
        self.programs = programs
        self.model = model
        self.prefillWorkers = prefillWorkers
        self.decodeWorkers = decodeWorkers
        self.mixedWorkers = mixedWorkers
        self.rpc = rpc
        self.workers = workers
        self.threads = threads
        self.logs = logs
    }

    public static let coordinatorName = "coordinator"

    public var workerNames: [String] {
        [("prefill", prefillWorkers), ("decode", decodeWorkers), ("mixed", mixedWorkers)].flatMap { role, count in
            (0..<count).map { "\(role)-\($0)" }
        }
    }

    public var processNames: [String] { [Self.coordinatorName] + workerNames }

    private func pinning(of name: String) -> [String] {
        let names = workerNames
        guard names.count * threads <= cores.count, let index = names.firstIndex(of: name) else { return [] }
        return ["--cores", cores[index * threads..<(index + 1) * threads].map(String.init).joined(separator: ",")]
    }

    /// Prefill workers have no batch, and the same part in every arm.
    private func scheduling(of role: Substring) -> [String] {
        guard let arm, role == (arm.isSeparated ? "decode" : "mixed") else { return [] }
        return ["--scheduling", arm.rawValue]
    }

    /// Program and arguments of one of ``processNames``.
    func command(for name: String) -> (program: String, arguments: [String]) {
        let parent = ["--parent", String(ProcessInfo.processInfo.processIdentifier)]
        if name == Self.coordinatorName {
            let endpoints = ["--rpc", rpc, "--workers", workers] + (http?.arguments ?? ["--no-http"])
            return ("coordinator", ["--model", model] + endpoints + coordinatorArguments + parent)
        }
        let arguments = [
            "--coordinator", workers, "--listen", "tcp://127.0.0.1:*", "--worker-id", name, "--model", model,
            "--threads", String(threads),
        ] + pinning(of: name) + (coreLeases.map { ["--core-leases", $0] } ?? [])
        // Names begin with the role, as programs do.
        let role = String(name.prefix { $0 != "-" })
        let ofRole = scheduling(of: role[...]) + workerArguments + roleArguments[role, default: []]
        return ("\(role)-worker", arguments + ofRole + parent)
    }
}

/// Where a coordinator serves HTTP.
public struct HTTPAddress: Sendable, Hashable {
    /// Name or address to bind.
    public var host: String
    public var port: Int

    public init(host: String = "127.0.0.1", port: Int) {
        self.host = host
        self.port = port
    }

    var arguments: [String] { ["--host", host, "--port", String(port)] }

    /// Where a client on this machine finds it.
    public var url: String {
        let isWildcard = host == "0.0.0.0" || host == "::"
        return "http://\(isWildcard ? "127.0.0.1" : host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}
