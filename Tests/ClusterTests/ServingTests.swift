import BatonClient
import ClusterCore
import Foundation
import Generation
import LocalCluster
import Testing
import Wire

extension ClusterTests {
    @Test func answersEqualTheRequestAlone() async throws {
        let workload = try await Workload(count: 48, seed: 1)
        try await TestCluster.run(prefillWorkers: 2, workerArguments: ["--max-num-batched-tokens", "64"]) { cluster in
            let client = try await cluster.connect()
            let retried = try await workload.check(on: client, concurrency: 16)
            #expect(retried == 0)
            try await cluster.waitUntilIdle()
            await client.close()
        }
    }

    @Test func aSmallPoolEvictsAndReplays() async throws {
        let workload = try await Workload(count: 24, seed: 2, maxTokens: 140)
        // Room for little more than the longest request: rows that grow push others out.
        try await TestCluster.run(workerArguments: ["--kv-cache-memory", "1MiB", "--max-model-len", "480", "--parking-memory", "0MiB"]) { cluster in
            let client = try await cluster.connect()
            let retried = try await workload.check(on: client, concurrency: 12)
            #expect(retried > 0, "nothing was evicted")
            try await cluster.waitUntilIdle()
            await client.close()
        }
    }

    @Test func aStopStringEndsTheAnswerAndIsNotShown() async throws {
        try await TestCluster.run { cluster in
            let client = try await cluster.connect()
            let prompt = Prompt.text("Once upon a time, there was a fox.")
            let whole = try await client.answer(to: Submission(prompt: prompt, sampling: .greedy, maxTokens: 40))
            let middle = whole.text.index(whole.text.startIndex, offsetBy: whole.text.count / 2)
            let stop = String(whole.text[middle...].prefix(5))
            let stopped = try await client.answer(
                to: Submission(prompt: prompt, sampling: .greedy, maxTokens: 40, stopStrings: [stop]))
            let end = try #require(whole.text.range(of: stop))
            #expect(stopped.text == String(whole.text[..<end.lowerBound]))
            #expect(stopped.completion.reason == .stop)
            #expect(stopped.tokens == Array(whole.tokens.prefix(stopped.tokens.count)))
            try await cluster.waitUntilIdle()
            await client.close()
        }
    }

    @Test func whatIsWrongWithARequestIsSaid() async throws {
        try await TestCluster.run { cluster in
            let client = try await cluster.connect()
            func failure(_ submission: Submission) async -> RequestFailure? {
                do {
                    _ = try await client.answer(to: submission)
                    return nil
                } catch {
                    return error as? RequestFailure
                }
            }
            let stranger = await failure(Submission(prompt: .tokens([1, 99_999_999]), sampling: .greedy))
            #expect(stranger?.code == .invalid)
            #expect(stranger?.message.contains("99999999") == true)
            let empty = await failure(Submission(prompt: .tokens([]), sampling: .greedy))
            #expect(empty?.code == .invalid)
            let long = await failure(Submission(prompt: .tokens([1]), sampling: .greedy, maxTokens: 1_000_000))
            #expect(long?.code == .invalid)
            let hot = await failure(Submission(prompt: .tokens([1]), sampling: SamplingParameters(temperature: -1)))
            #expect(hot?.message.contains("temperature") == true)
            // More than the wire can carry is said at once, not dropped on the other side.
            var stops = Submission(prompt: .tokens([1]), sampling: .greedy)
            stops.stopStrings = (0..<17).map { "stop \($0)" }
            await #expect(throws: WireError.self) { try await client.answer(to: stops) }
            await client.close()
        }
    }

    @Test func aClientMayBeSilentForLong() async throws {
        try await TestCluster.run { cluster in
            let client = try await cluster.connect()
            let submission = Submission(prompt: .tokens([1, 2, 3]), sampling: .greedy, maxTokens: 4, ignoreEndTokens: true)
            let first = try await client.answer(to: submission)
            // Longer than the coordinator waits for a word of a client that is gone.
            try await Task.sleep(for: .seconds(6))
            #expect(try await client.answer(to: submission).tokens == first.tokens)
            await client.close()
        }
    }

    @Test func aDeadlineEndsARequestVisibly() async throws {
        try await TestCluster.run { cluster in
            await cluster.processes.kill("decode-0")
            try await cluster.waitUntil("the worker is lost") { $0.workers.contains { $0.state == .lost } }
            let client = try await cluster.connect()
            var submission = Submission(
                prompt: .tokens([1, 2, 3]), sampling: .greedy, maxTokens: 4, ignoreEndTokens: true)
            submission.timeout = .milliseconds(500)
            await #expect { try await client.answer(to: submission) } throws: {
                ($0 as? RequestFailure)?.code == .noWorker
            }
            try await cluster.processes.start("decode-0")
            submission.timeout = .seconds(60)
            #expect(try await client.answer(to: submission).tokens.count == 4)
            await client.close()
        }
    }
}
