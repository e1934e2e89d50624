import BatonClient
import ClusterCore
import Foundation
import Generation
import LocalCluster
import Testing

extension ClusterTests {
    /// Prompts that begin alike, cut anywhere within blocks and partitions, on every kind of worker: what comes from a cache
    /// and what is not sent again must not show in any token.
    @Test(arguments: ["pair", "mixed"], ["on", "off"])
    func promptsThatBeginAlikeAnswerAsIfAlone(workers: String, cache: String) async throws {
        let workload = try await Workload(count: 60, seed: 31, maxTokens: 30, stems: 3)
        let isPair = workers == "pair"
        try await TestCluster.run(
            prefillWorkers: isPair ? 2 : 0, decodeWorkers: isPair ? 2 : 0, mixedWorkers: isPair ? 0 : 2,
            workerArguments: ["--max-num-seqs", "6", "--max-num-batched-tokens", "96", "--prefix-cache", cache]
        ) { cluster in
            let client = try await cluster.connect()
            // Compares tokens. Attempts are not counted: on a busy machine a request now and then takes a second one.
            _ = try await workload.check(on: client, concurrency: 10)
            try await cluster.waitUntilIdle()
            if cache == "on" {
                // Workers tell what they have done a few times a second.
                try await cluster.waitUntil("prefixes are found") { status in
                    let caches = status.workers.map(\.load.prefixCache)
                    let (hits, held) = (caches.reduce(0) { $0 + $1.hitTokens }, caches.reduce(0) { $0 + $1.heldBlocks })
                    return hits > 2000 && (held > 100) == isPair
                }
            }
            let caches = try await cluster.status().workers.map(\.load.prefixCache)
            if cache == "off" { #expect(caches.allSatisfy { $0.hitTokens == 0 && $0.heldBlocks == 0 }) }
            #expect(caches.allSatisfy { $0.pinnedBlocks == 0 && $0.prematureEvictions == 0 })
            // Again: everything but the last token of each prompt is known, unless it was asked of another worker.
            _ = try await workload.check(on: client, concurrency: 10)
            await client.close()
        }
    }

    /// A pool that holds few of the prefixes: blocks are evicted all the time, rows give way, and everything is as before.
    @Test(arguments: [true, false]) func aSmallPoolEvictsPrefixesAndAnswersTheSame(isMixed: Bool) async throws {
        let workload = try await Workload(count: 50, seed: 32, maxTokens: 60, stems: 4)
        try await TestCluster.run(
            prefillWorkers: isMixed ? 0 : 1, decodeWorkers: isMixed ? 0 : 1, mixedWorkers: isMixed ? 1 : 0,
            workerArguments: ["--kv-cache-memory", "1MiB", "--max-model-len", "440", "--max-num-batched-tokens", "64"]
        ) { cluster in
            let client = try await cluster.connect()
            _ = try await workload.check(on: client, concurrency: 8)
            try await cluster.waitUntilIdle()
            let caches = try await cluster.status().workers.map(\.load.prefixCache)
            #expect(caches.contains { $0.evictions > 20 } && caches.contains { $0.hitTokens > 200 })
            await client.close()
        }
    }

    /// Members of a group, some of which come late: its prefix is computed once on each worker and stays until the last ends.
    @Test func aGroupsPrefixIsComputedOnceAndReleasedWithItsLastMember() async throws {
        var workload = try await Workload(count: 16, seed: 33, maxTokens: 12, stems: 1, common: 96)
        let group = PrefixGroup(id: 9, prefixCount: 96, memberCount: 16)
        for index in workload.items.indices {
            workload.items[index].submission.group = group
            workload.items[index].submission.priority = .normal
        }
        try await TestCluster.run(workerArguments: ["--max-num-seqs", "8"]) { cluster in
            let client = try await cluster.connect()
            #expect(try await workload.check(on: client, concurrency: 8) == 0)
            try await cluster.waitUntilIdle()
            try await cluster.waitUntil("the group is released") { status in
                status.workers.allSatisfy { $0.load.prefixCache.pinnedBlocks == 0 }
                    && status.workers.contains { $0.role == .prefill && $0.load.prefixCache.hitTokens >= 15 * 96 }
            }
            let prefill = try #require(try await cluster.status().workers.first { $0.role == .prefill })
            let own = workload.items.reduce(0) { $0 + UInt64($1.promptCount) - 96 }
            #expect(prefill.load.work.prefillTokens <= 96 + own)
            #expect(prefill.load.prefixCache.prematureEvictions == 0)
            await client.close()
        }
    }
}
