import BatonClient
import ClusterCore
import Foundation
import Generation
import LocalCluster
import Subprocess
import Synchronization
import SystemPackage
import Testing

extension ClusterTests {
    /// Chunks of a few tokens beside the rows, or of several prompts at once: nobody's tokens may depend on it.
    @Test(arguments: [8, 64]) func aMixedWorkerAloneAnswersLikeTheRequestAlone(tokenBudget: Int) async throws {
        let workload = try await Workload(count: 40, seed: 11)
        // Each token is to be counted; two prompts may begin with the same one.
        let arguments = ["--max-num-seqs", "8", "--max-num-batched-tokens", String(tokenBudget), "--prefix-cache", "off"]
        try await TestCluster.run(
            prefillWorkers: 0, decodeWorkers: 0, mixedWorkers: 1, workerArguments: arguments
        ) { cluster in
            let client = try await cluster.connect()
            let retried = try await workload.check(on: client, concurrency: 12)
            #expect(retried == 0)
            try await cluster.waitUntilIdle()
            // Every token was computed once, and nothing besides: the last token of an answer is never run.
            let prefillTokens = workload.items.reduce(0) { $0 + UInt64($1.promptCount) }
            let decodeTokens = workload.items.reduce(0) { $0 + UInt64($1.expected.count) - 1 }
            try await cluster.waitUntil("\(prefillTokens) and \(decodeTokens) token rows are counted") { status in
                status.workers.first.map { ($0.load.work.prefillTokens, $0.load.work.decodeTokens) }
                    ?? (0, 0) == (prefillTokens, decodeTokens)
            }
            let work = try #require(try await cluster.status().workers.first).load.work
            #expect(work.sharedSteps > 20, "rows and chunks hardly ever met: \(work)")
            #expect(work.steps * UInt64(tokenBudget) >= work.prefillTokens + work.decodeTokens)
            await client.close()
        }
    }

    @Test func aSmallPoolOfAMixedWorkerEvictsAndReplays() async throws {
        let workload = try await Workload(count: 24, seed: 12, maxTokens: 140)
        let arguments = ["--kv-cache-memory", "1MiB", "--max-model-len", "480", "--max-num-batched-tokens", "32", "--parking-memory", "0MiB"]
        try await TestCluster.run(
            prefillWorkers: 0, decodeWorkers: 0, mixedWorkers: 1, workerArguments: arguments
        ) { cluster in
            let client = try await cluster.connect()
            let retried = try await workload.check(on: client, concurrency: 12)
            #expect(retried > 0, "nothing was evicted")
            try await cluster.waitUntilIdle()
            await client.close()
        }
    }

    /// The kill test with all three roles: requests move from pairs to mixed workers and back.
    @Test func killedWorkersOfEveryRoleCostNothingButTime() async throws {
        let workload = try await Workload(count: 200, seed: 13)
        try await TestCluster.run(
            mixedWorkers: 2, workerArguments: ["--max-num-seqs", "6", "--max-num-batched-tokens", "48"]
        ) { cluster in
            let client = try await cluster.connect()
            let isServed = Atomic(false)
            let killing = Task {
                var killed: Set<String> = []
                for name in (0..<4).flatMap({ _ in cluster.plan.workerNames }) where !isServed.load(ordering: .relaxed) {
                    try await Task.sleep(for: .milliseconds(150))
                    await cluster.processes.kill(name)
                    killed.insert(name)
                    try await cluster.processes.start(name)
                }
                return killed
            }
            let retried = try await workload.check(on: client, concurrency: 24)
            isServed.store(true, ordering: .relaxed)
            #expect(try await killing.value == Set(cluster.plan.workerNames))
            #expect(retried > 0, "no kill hit anything")
            try await cluster.waitUntilIdle()
            await client.close()
        }
    }

    @Test func aMixedWorkerHelpsOutWhenPairsAreFull() async throws {
        let workload = try await Workload(count: 32, seed: 14)
        try await TestCluster.run(mixedWorkers: 1, workerArguments: ["--max-num-seqs", "2"]) { cluster in
            let client = try await cluster.connect()
            // One after the other there is always a pair with room.
            for item in workload.items.prefix(4) {
                let answer = try await client.answer(to: item.submission)
                #expect(answer.completion.prefillWorker.name == "prefill-0")
            }
            let retried = try await workload.check(on: client, concurrency: 16)
            #expect(retried == 0)
            try await cluster.waitUntilIdle()
            try await cluster.waitUntil("everybody has worked") { $0.workers.allSatisfy { $0.load.work.steps > 0 } }
            await client.close()
        }
    }

    @Test func aMixedWorkerThatIsAskedToLeaveFinishesFirst() async throws {
        let workload = try await Workload(count: 12, seed: 15, maxTokens: 200)
        try await TestCluster.run(prefillWorkers: 0, decodeWorkers: 0, mixedWorkers: 2) { cluster in
            let client = try await cluster.connect()
            let leaving = try #require(await cluster.processes.process("mixed-1"))
            let asking = Task {
                try await Task.sleep(for: .milliseconds(60))
                leaving.signal(SIGTERM)
                return await leaving.waitForExit()
            }
            let retried = try await workload.check(on: client, concurrency: 12)
            #expect(try await asking.value == 0)
            #expect(retried == 0, "draining gave work up")
            await client.close()
        }
    }

    @Test func aBudgetBelowTheRowsIsAUsageError() async throws {
        let result = try await Subprocess.run(
            .path(FilePath(TestCluster.programs.appendingPathComponent("mixed-worker").path)),
            arguments: ["--model", "x", "--max-num-seqs", "16", "--max-num-batched-tokens", "8", "--check-config"],
            output: .discarded, error: .string(limit: 65536))
        #expect(result.terminationStatus == .exited(2))
        #expect(result.standardError.contains("--max-num-batched-tokens 8"))
    }
}

extension Workload.Item {
    var promptCount: Int { if case .tokens(let tokens) = submission.prompt { tokens.count } else { 0 } }
}
