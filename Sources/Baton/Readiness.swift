import AsyncHTTPClient
import BatonClient
import ClusterCore
import Foundation
import LocalCluster
import NIOCore
import NIOHTTP1

/// Waiting until a cluster can serve.
enum Readiness {
    /// Returns when every worker of the plan is registered and the HTTP port, if there is one, is open: the coordinator opens it last.
    /// - Throws: ``ClusterStartError`` when that takes longer than `patience`.
    static func wait(for plan: ClusterPlan, patience: Duration = .seconds(120)) async throws {
        let deadline = ContinuousClock.now + patience
        while ContinuousClock.now < deadline {
            if let status = try? await currentStatus(plan.rpc) {
                let ready = status.workers.count { $0.state == .ready }
                if ready >= plan.workerNames.count, await isListening(plan.http) { return }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ClusterStartError(process: "cluster", problem: "not ready within \(patience)")
    }

    private static func isListening(_ address: HTTPAddress?) async -> Bool {
        guard let address else { return true }
        let response = try? await HTTPClient.shared.execute(HTTPClientRequest(url: address.url + "/livez"), timeout: .seconds(1))
        return response?.status == .ok
    }

    private static func currentStatus(_ rpc: String) async throws -> ClusterStatus {
        let client = try await BatonClient.connect(to: rpc, name: "baton", timeout: .seconds(1))
        defer { Task { await client.close() } }
        return try await client.status()
    }
}
