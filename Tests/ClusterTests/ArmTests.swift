import BatonClient
import ClusterCore
import Foundation
import LocalCluster
import Subprocess
import SystemPackage
import Testing

extension ClusterTests {
    /// Every arm answers like the request alone, whatever is computed beside it for nothing.
    @Test(arguments: Arm.allCases) func everyArmAnswersLikeTheRequestAlone(arm: Arm) async throws {
        let workload = try await Workload(count: 32, seed: 21)
        let separated = arm.isSeparated ? 1 : 0
        try await TestCluster.run(
            prefillWorkers: separated, decodeWorkers: separated, mixedWorkers: 1 - separated,
            workerArguments: ["--max-num-seqs", "6"], arm: arm
        ) { cluster in
            let client = try await cluster.connect()
            let retried = try await workload.check(on: client, concurrency: 12)
            #expect(retried == 0)
            try await cluster.waitUntilIdle()
            let decodeTokens = workload.items.reduce(0) { $0 + UInt64($1.expected.count) - 1 }
            try await cluster.waitUntil("\(decodeTokens) token rows of the batch are counted") { status in
                status.workers.contains { $0.load.work.decodeTokens == decodeTokens }
            }
            let worker = try #require(try await cluster.status().workers.first { $0.load.work.decodeTokens > 0 })
            #expect(worker.load.scheduling?.rawValue == arm.rawValue)
            check(worker.load.work, arm, embeds: workload.items.count { $0.expected.count > 1 })
            await client.close()
        }
    }

    private func check(_ work: WorkCounters, _ arm: Arm, embeds: Int) {
        let (idle, batch) = (work.idle, work.batch)
        switch arm {
        case .mixed, .orca, .baton, .batonDense: #expect(idle.total == 0)
        case .orcaPadded: #expect(idle.waitingRows > 0 && idle.finishedRows == 0)
        case .static: #expect(idle.finishedRows > 0 && idle.padding > 0 && idle.waitingRows == 0)
        }
        #expect((batch.blocksCopied > 0) == (arm == .batonDense))
        // A query that gave way to a more urgent one was embedded more than once.
        #expect(batch.embeds >= UInt64(embeds) && batch.removals == batch.embeds && batch.firstTokens <= batch.embeds)
        #expect(batch.firstTokenDelay > .zero && batch.longestFirstTokenDelay <= batch.firstTokenDelay)
        #expect(batch.shapings > 0 && batch.shapingTime > .zero)
    }

    @Test func anArmOfAnotherRoleIsAUsageError() async throws {
        let result = try await Subprocess.run(
            .path(FilePath(TestCluster.programs.appendingPathComponent("decode-worker").path)),
            arguments: ["--model", "x", "--scheduling", "orca", "--check-config"],
            output: .discarded, error: .string(limit: 65536))
        #expect(result.terminationStatus == .exited(2))
        #expect(result.standardError.contains("--scheduling orca needs a mixed worker"))
    }
}
