import Foundation

/// The processes of a cluster on this machine and how each is started.
public struct ClusterPlan: Sendable {
    /// Directory of the built programs.
    public var programs: URL
    public var model: String
    public var prefillWorkers: Int
    public var decodeWorkers: Int
    /// Where clients reach the coordinator.
    public var rpc: String
    /// Where workers reach the coordinator.
    public var workers: String
    /// Compute threads of each worker.
    public var threads: Int
    /// Directory for the processes' logs.
    public var logs: URL
    public var coordinatorArguments: [String] = []
    /// Further arguments of every worker.
    public var workerArguments: [String] = []
    public var environment: [String: String] = [:]

    public init(
        programs: URL, model: String, prefillWorkers: Int = 1, decodeWorkers: Int = 1, rpc: String, workers: String,
        threads: Int = 1, logs: URL
    ) {
        self.programs = programs
        self.model = model
        self.prefillWorkers = prefillWorkers
        self.decodeWorkers = decodeWorkers
        self.rpc = rpc
        self.workers = workers
        self.threads = threads
        self.logs = logs
    }

    public static let coordinatorName = "coordinator"

    public var workerNames: [String] {
        (0..<prefillWorkers).map { "prefill-\($0)" } + (0..<decodeWorkers).map { "decode-\($0)" }
    }

    public var processNames: [String] { [Self.coordinatorName] + workerNames }

    /// Program and arguments of one of ``processNames``.
    func command(for name: String) -> (program: String, arguments: [String]) {
        let parent = ["--parent", String(ProcessInfo.processInfo.processIdentifier)]
        if name == Self.coordinatorName {
            let endpoints = ["--rpc", rpc, "--workers", workers]
            return ("coordinator", ["--model", model] + endpoints + coordinatorArguments + parent)
        }
        let arguments = [
            "--coordinator", workers, "--listen", "tcp://127.0.0.1:*", "--worker-id", name, "--model", model,
            "--threads", String(threads),
        ]
        return (name.hasPrefix("prefill") ? "prefill-worker" : "decode-worker", arguments + workerArguments + parent)
    }
}
