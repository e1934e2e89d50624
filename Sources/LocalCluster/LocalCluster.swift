import Foundation

/// A coordinator and its workers as child processes of this one.
public actor LocalCluster {
    public nonisolated let plan: ClusterPlan
    /// Processes that ended without being asked to: name and exit code.
    public nonisolated let failures: AsyncStream<(name: String, code: Int32)>
    private let failed: AsyncStream<(name: String, code: Int32)>.Continuation
    private var running: [String: ChildProcess] = [:]
    /// Asked to end, not gone yet.
    private var stopping: [ChildProcess] = []

    public init(plan: ClusterPlan) {
        self.plan = plan
        (failures, failed) = AsyncStream.makeStream()
    }

    /// Starts every process of the plan. They find each other by themselves, in any order.
    public func startAll() async throws {
        try FileManager.default.createDirectory(at: plan.logs, withIntermediateDirectories: true)
        for name in plan.processNames { try await start(name) }
    }

    /// Starts one process that is not running.
    @discardableResult
    public func start(_ name: String) async throws -> ChildProcess {
        let command = plan.command(for: name)
        let executable = plan.programs.appendingPathComponent(command.program)
        guard FileManager.default.isExecutableFile(atPath: executable.path) else {
            throw ClusterStartError(process: name, problem: "no program \(command.program) beside this one; build it first")
        }
        let child = try await ChildProcess.start(
            name: name, executable: executable, arguments: command.arguments, environment: plan.environment,
            log: log(of: name))
        running[name] = child
        Task { noteExit(of: child, code: await child.waitForExit()) }
        return child
    }

    public func process(_ name: String) -> ChildProcess? { running[name] }

    public nonisolated func log(of name: String) -> URL { plan.logs.appendingPathComponent("\(name).log") }

    /// Ends one process without warning, as a power cut would, and waits until it is gone.
    public func kill(_ name: String) async {
        guard let child = running.removeValue(forKey: name) else { return }
        child.signal(SIGKILL)
        await child.waitForExit()
    }

    private func noteExit(of child: ChildProcess, code: Int32) {
        // Whoever ended it on purpose took it off the list first.
        guard running[child.name] === child else { return }
        running[child.name] = nil
        failed.yield((child.name, code))
    }

    /// Asks all to drain: the coordinator first, so that what it has accepted is still served, then the workers. What has
    /// not ended after `patience`, counted for each of the two, is killed. Called again meanwhile, it shortens the wait.
    /// - Returns: exit codes by name.
    @discardableResult
    public func stopAll(patience: Duration = .seconds(10)) async -> [String: Int32] {
        stopping += plan.processNames.compactMap { running.removeValue(forKey: $0) }
        let children = stopping
        let coordinator = children.filter { $0.name == ClusterPlan.coordinatorName }
        let workers = children.filter { $0.name != ClusterPlan.coordinatorName }
        let codes = await end(coordinator, within: patience).merging(await end(workers, within: patience)) { $1 }
        stopping.removeAll { ended in children.contains { $0 === ended } }
        return codes
    }

    private func end(_ children: [ChildProcess], within patience: Duration) async -> [String: Int32] {
        for child in children { child.signal(SIGTERM) }
        let reaper = Task {
            try await Task.sleep(for: patience)
            for child in children { child.signal(SIGKILL) }
        }
        var codes: [String: Int32] = [:]
        for child in children { codes[child.name] = await child.waitForExit() }
        reaper.cancel()
        return codes
    }
}
