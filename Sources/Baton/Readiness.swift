import BatonClient
import ClusterCore
import Foundation
import LocalCluster

/// Waiting until a cluster can serve.
enum Readiness {
    /// Returns when every worker of the plan is registered.
    /// - Throws: ``ClusterStartError`` when that takes longer than `patience`.
    static func wait(for plan: ClusterPlan, patience: Duration = .seconds(120)) async throws {
        let deadline = ContinuousClock.now + patience
        while ContinuousClock.now < deadline {
            if let status = try? await currentStatus(plan.rpc) {
                let ready = status.workers.count { $0.state == .ready }
                if ready >= plan.workerNames.count { return }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ClusterStartError(process: "cluster", problem: "not ready within \(patience)")
    }

    private static func currentStatus(_ rpc: String) async throws -> ClusterStatus {
        let client = try await BatonClient.connect(to: rpc, name: "baton", timeout: .seconds(1))
        defer { Task { await client.close() } }
        return try await client.status()
    }
}
