import BatonClient
import ClusterCore
import Foundation
import Inference
import LocalCluster
import Subprocess
import SystemPackage
import Testing

extension ClusterTests {
    /// int8 KV through two processes answers as int8 KV in one; a worker that keeps KV otherwise is refused.
    @Test(.timeLimit(.minutes(3))) func int8KVIsAClassOfItsOwn() async throws {
        let workload = try await Workload(count: 6, seed: 11, kvFormat: .int8)
        try await TestCluster.run(workerArguments: ["--kv-dtype", "int8"]) { cluster in
            let client = try await cluster.connect()
            _ = try await workload.check(on: client, concurrency: 3)
            await client.close()
            let other = try await Subprocess.run(
                .path(FilePath(TestCluster.programs.appendingPathComponent("decode-worker").path)),
                arguments: [
                    "--coordinator", cluster.plan.workers, "--model", TestCluster.model, "--kv-dtype", "bfloat16",
                    "--kv-cache-memory", "64MiB", "--worker-id", "stranger",
                ],
                output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
            #expect(other.terminationStatus != .exited(0))
            let said = other.standardOutput + other.standardError
            #expect(said.contains("refuses") && said.contains("kvFormat: \"bfloat16\"") && said.contains("kvFormat: \"int8\""), "\(said)")
            #expect(try await cluster.status().workers.count == 2)
        }
    }
}
