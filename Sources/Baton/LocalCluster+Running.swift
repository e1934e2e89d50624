import Foundation
import LocalCluster
import ProgramSupport

extension LocalCluster {
    /// Starts the cluster, runs `body` when every worker is registered, and stops the cluster, whatever comes of it.
    ///
    /// - Parameter patience: for the processes to end.
    /// - Returns: what `body` returned, and how each process ended.
    /// - Throws: ``ClusterStartError``, also when a process ends before `body` does; what `body` throws.
    func whileRunning<Result: Sendable>(
        patience: Duration = .seconds(5), _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> (result: Result, codes: [String: Int32]) {
        do {
            try await startAll()
            let result = try await withThrowingTaskGroup(of: Result.self) { group in
                group.addTask { [plan] in
                    try await Readiness.wait(for: plan)
                    return try await body()
                }
                group.addTask { throw await self.firstFailure() }
                defer { group.cancelAll() }
                guard let result = try await group.next() else { throw CancellationError() }
                return result
            }
            return (result, await stopAll(patience: patience))
        } catch {
            await stopAll(patience: patience)
            throw error
        }
    }
}

extension ClusterPlan {
    /// A cluster for one measurement: a prefill and a decode worker on loopback, logs in a directory of its own.
    static func bench(model: String, kvCacheMemory: String, rows: Int) throws -> ClusterPlan {
        let logs = FileManager.default.temporaryDirectory.appendingPathComponent("baton-bench-\(getpid())")
        var plan = ClusterPlan(
            programs: ClusterOptions.programs, model: model, rpc: try freeLoopbackEndpoint(), workers: try freeLoopbackEndpoint(), logs: logs)
        plan.http = HTTPAddress(port: try freeLoopbackPort())
        plan.workerArguments = ["--kv-cache-memory", kvCacheMemory]
        plan.roleArguments = ["decode": ["--max-num-seqs", String(rows), "--batch-scaling", "off"]]
        return plan
    }
}
