import BatonClient
import ClusterCore
import Foundation
import Generation
import LocalCluster
import Testing

/// A worker in a control group whose memory does not last for its whole pool.
extension ClusterTests {
    @Test(.enabled(if: MemoryGroup.isPossible, "needs root and a control group hierarchy that can be written"), .timeLimit(.minutes(3)))
    func aWorkerStaysWithinItsControlGroup() async throws {
        let workload = try await Workload(count: 250, seed: 31, maxTokens: 140)
        let group = try MemoryGroup()
        defer { group.remove() }
        let place = FileManager.default.temporaryDirectory.appendingPathComponent("baton-confined-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: place) }
        let programs = try group.programs(like: TestCluster.programs, confining: "decode-worker", in: place)
        // As many rows as requests: nobody gives way for any other reason than memory.
        try await TestCluster.run(
            workerArguments: ["--max-num-seqs", "16", "--parking-dir", place.path], programs: programs,
            roleArguments: ["decode": ["--memory-high-watermark", "60", "--memory-low-watermark", "57"]]
        ) { cluster in
            let client = try await cluster.connect()
            // What it needs before any KV, 8 MiB of the pool's 64, and two thirds on top: with so small a limit, what comes between two
            // samples, the prompts of all rows at once among it, is much of it.
            try group.limit(to: (group.used + 8 << 20) * 5 / 3)
            let process = await cluster.processes.process("decode-0")?.processID
            let watching = Task {
                try await cluster.waitUntil("memory is short") { status in status.workers.contains { $0.load.isMemoryShort } }
            }
            _ = try await workload.check(on: client, concurrency: 16)
            try await watching.value
            try await cluster.waitUntilIdle()
            let load = try #require(try await cluster.status().workers.first { $0.role == .decode }).load
            #expect(load.parking.parks > 0 && load.parking.queries == 0, "\(load)")
            #expect(group.kills == 0)
            #expect(await cluster.processes.process("decode-0")?.processID == process)
            await client.close()
        }
    }
}
