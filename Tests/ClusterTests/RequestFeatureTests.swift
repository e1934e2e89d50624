import BatonClient
import ClusterCore
import Foundation
import Generation
import Inference
import Kernels
import LocalCluster
import Subprocess
import Testing

/// The same request alone in this process.
private struct Alone: Sendable {
    struct Choice: Sendable {
        var tokens: [ScoredToken]
        var reason: FinishReason
    }

    var prompt: [ScoredToken]
    var choices: [Choice]

    static func answers(to submissions: [Submission]) async throws -> [Alone] {
        try await withCheckedThrowingContinuation { done in
            let thread = Thread {
                done.resume(
                    with: Result {
                        let team = try ThreadTeam(maxThreads: 1)
                        let kernels = try KernelSet.select(environment: ProcessInfo.processInfo.environment)
                        let model = try Model(path: TestCluster.model, kernels: kernels, team: team, threads: 1)
                        let local = LocalGeneration(engine: try Engine(model: model, team: team), threads: 1)
                        return try submissions.map { try answer($0, local) }
                    })
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
    }

    private static func answer(_ submission: Submission, _ local: LocalGeneration) throws -> Alone {
        guard case .tokens(let prompt) = submission.prompt, let maxTokens = submission.maxTokens else {
            return Alone(prompt: [], choices: [])
        }
        var sampling = submission.sampling
        sampling.seed = submission.seed ?? 0
        let stop = StopConditions(maxTokens: maxTokens, minTokens: submission.minTokens, endTokens: submission.stopTokens)
        let choices = try (0..<UInt32(submission.choices)).map { choice in
            if maxTokens == 0 { return Choice(tokens: [], reason: .length) }
            let top = submission.logprobs.map(Int.init)
            let answer = try local.generate(prompt: prompt, parameters: sampling, stop: stop, choice: choice, logprobs: top)
            let tokens = answer.tokens.enumerated().map { ScoredToken($1, top == nil ? nil : answer.logprobs[$0]) }
            return Choice(tokens: tokens, reason: answer.finishReason)
        }
        let top = submission.promptLogprobs.map(Int.init)
        return Alone(prompt: try top.map { try local.scores(of: prompt, top: $0) } ?? [], choices: choices)
    }
}

extension ClusterTests {
    private static func prompt(_ count: Int, _ salt: Int = 0) -> [TokenID] { (0..<count).map { TokenID(($0 * 37 + salt * 11) % 500) } }

    /// Log-probabilities, scores of prompts, several choices, least lengths, biases: one of each kind and all at once.
    private static func submissions(maxTokens: Int32 = 40) -> [Submission] {
        let warm = SamplingParameters(temperature: 0.9, topP: 0.95)
        return (0..<18).map { number in
            var submission = Submission(
                prompt: .tokens(prompt([1, 16, 17, 40, 90, 200][number % 6], number)), sampling: warm, seed: UInt64(number),
                maxTokens: maxTokens, ignoreEndTokens: true)
            if number % 2 == 0 { submission.logprobs = Int32(number % 6) }
            if number % 3 == 0 { submission.promptLogprobs = Int32(number % 4) }
            if number % 3 == 1 { submission.choices = Int32(2 + number % 5) }
            if number % 4 == 1 { submission.sampling.logitBias = [TokenBias(token: 5, bias: 4), TokenBias(token: 9, bias: -100)] }
            if number % 5 == 2 {
                submission.stopTokens = [3, 5, 7, 11, 13, 17, 19, 23]
                submission.minTokens = 12
            }
            if number == 0 || number % 6 == 3 { (submission.maxTokens, submission.promptLogprobs) = (0, 2) }
            if number % 7 == 4 { submission.maxTokens = 1 }
            return submission
        }
    }

    private func check(_ client: BatonClient, _ submissions: [Submission], _ expected: [Alone]) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, (submission, alone)) in zip(submissions, expected).enumerated() {
                group.addTask {
                    let answer = try await client.answer(to: submission)
                    #expect(answer.prompt == alone.prompt, "prompt of request \(number)")
                    #expect(answer.choices.map(\.tokens) == alone.choices.map(\.tokens), "request \(number)")
                    #expect(answer.choices.map(\.completion.reason) == alone.choices.map(\.reason), "request \(number)")
                }
            }
            try await group.waitForAll()
        }
    }

    @Test(arguments: [true, false]) func everyFeatureAnswersAsTheRequestAlone(isMixed: Bool) async throws {
        let submissions = Self.submissions(), expected = try await Alone.answers(to: submissions)
        try await TestCluster.run(
            prefillWorkers: isMixed ? 0 : 1, decodeWorkers: isMixed ? 0 : 1, mixedWorkers: isMixed ? 1 : 0,
            workerArguments: ["--max-num-batched-tokens", "64"]
        ) { cluster in
            let client = try await cluster.connect()
            try await check(client, submissions, expected)
            try await cluster.waitUntilIdle()
            await client.close()
        }
    }

    @Test func everyFeatureSurvivesTheDeathOfWorkers() async throws {
        let submissions = Self.submissions(maxTokens: 120), expected = try await Alone.answers(to: submissions)
        try await TestCluster.run(prefillWorkers: 2, decodeWorkers: 2) { cluster in
            let client = try await cluster.connect()
            let killing = Task {
                for name in cluster.plan.workerNames {
                    try await Task.sleep(for: .milliseconds(250))
                    await cluster.processes.kill(name)
                    try await cluster.processes.start(name)
                }
            }
            for _ in 0..<2 { try await check(client, submissions, expected) }
            try await killing.value
            try await cluster.waitUntilIdle()
            await client.close()
        }
    }

    @Test func choicesComeOfOnePrefillAndShareItsBlocks() async throws {
        try await TestCluster.run(workerArguments: ["--max-num-seqs", "16"]) { cluster in
            let client = try await cluster.connect()
            let prompt = Self.prompt(320)
            let submission = Submission(
                prompt: .tokens(prompt), sampling: SamplingParameters(temperature: 1), seed: 4, maxTokens: 60,
                ignoreEndTokens: true, choices: 12)
            let answering = Task { try await client.answer(to: submission) }
            var most = 0
            try await cluster.waitUntil("all choices are rows") { status in
                guard let decode = status.workers.first(where: { $0.role == .decode }) else { return false }
                most = max(most, decode.load.referencedBlocks)
                return decode.load.rows >= 12 || decode.load.work.decodeTokens > 12 * 30
            }
            let answer = try await answering.value
            #expect(Set(answer.choices.map { $0.tokens.map(\.token) }).count == 12)
            #expect(answer.acceptance.choices == 12 && answer.completion.attempts == 1)
            // 20 blocks of prompt once, and at most 4 of answer for each choice (or twice that for a moment).
            #expect(most < 12 * 20)
            try await cluster.waitUntilIdle()
            let prefill = try #require(try await cluster.status().workers.first { $0.role == .prefill })
            #expect(prefill.load.work.prefillTokens == UInt64(prompt.count))
            // Each is the answer that a request for so many choices has in its place, however many there are.
            var fewer = submission
            fewer.choices = 3
            let first = try await client.answer(to: fewer)
            #expect(first.choices.map(\.tokens) == answer.choices.prefix(3).map(\.tokens))
            await client.close()
        }
    }

    @Test func stopStringsHeedTheLeastLengthAndMayBeShown() async throws {
        try await TestCluster.run { cluster in
            let client = try await cluster.connect()
            var submission = Submission(
                prompt: .text("Once upon a time, there was a fox."), sampling: .greedy, maxTokens: 40, ignoreEndTokens: true)
            let whole = try await client.answer(to: submission)
            let stop = String(whole.text.dropFirst(whole.text.count / 3).prefix(6))
            let place = try #require(whole.text.range(of: stop))
            submission.stopStrings = [stop]
            submission.includesStopString = true
            let shown = try await client.answer(to: submission)
            #expect(shown.text == String(whole.text[..<place.upperBound]) && shown.completion.reason == .stop)
            submission.minTokens = 40
            let held = try await client.answer(to: submission)
            #expect(held.tokens == whole.tokens && held.text == whole.text && held.completion.reason == .length)
            await client.close()
        }
    }

    @Test func anAnswerKeepsToItsConstraintWhoeverContinuesIt() async throws {
        try await TestCluster.run(prefillWorkers: 1, decodeWorkers: 2) { cluster in
            let client = try await cluster.connect()
            func submission(_ constraint: Constraint, seed: UInt64) -> Submission {
                Submission(
                    prompt: .text("Once upon a time"), sampling: SamplingParameters(temperature: 1.5), seed: seed, maxTokens: 200,
                    choices: 2, constraint: constraint)
            }
            let digits = Constraint(kind: .regex, source: "[a-c]{60}-[0-9]{60}")
            let schema = Constraint(
                kind: .jsonSchema,
                source: #"{"type":"object","properties":{"n":{"type":"integer","minimum":0,"maximum":9},"b":{"type":"boolean"}},"required":["n","b"],"additionalProperties":false}"#)
            struct Reply: Decodable {
                var n: Int
                var b: Bool
            }
            for seed in 0..<4 as Range<UInt64> {
                let json = try await client.answer(to: submission(schema, seed: seed))
                for choice in json.choices where choice.completion.reason == .stop {
                    let reply = try JSONDecoder().decode(Reply.self, from: Data(choice.text.utf8))
                    #expect((0...9).contains(reply.n))
                }
            }
            let undisturbed = try await client.answer(to: submission(digits, seed: 7))
            for choice in undisturbed.choices where choice.completion.reason == .stop {
                #expect(choice.text.wholeMatch(of: /[a-c]{60}-[0-9]{60}/) != nil, "\(choice.text)")
            }
            // Again, while each decode worker in turn dies.
            let killing = Task {
                for name in ["decode-0", "decode-1"] {
                    try await Task.sleep(for: .milliseconds(60))
                    await cluster.processes.kill(name)
                    try await cluster.processes.start(name)
                }
            }
            for _ in 0..<3 {
                let again = try await client.answer(to: submission(digits, seed: 7))
                #expect(again.choices.map(\.tokens) == undisturbed.choices.map(\.tokens))
            }
            try await killing.value
            let broken = Submission(
                prompt: .text("x"), sampling: .greedy, constraint: Constraint(kind: .jsonSchema, source: #"{"type":7}"#))
            await #expect { try await client.answer(to: broken) } throws: { error in
                (error as? RequestFailure)?.code == .invalid
            }
            await client.close()
        }
    }

    @Test func whatIsWrongWithAFeatureIsSaid() async throws {
        try await TestCluster.run { cluster in
            let client = try await cluster.connect()
            func failure(_ change: (inout Submission) -> Void) async -> String {
                var submission = Submission(prompt: .tokens([1, 2]), sampling: .greedy, maxTokens: 4)
                change(&submission)
                do {
                    _ = try await client.answer(to: submission)
                    return "none"
                } catch {
                    return (error as? RequestFailure).map { "\($0.code.rawValue) \($0.message)" } ?? "\(error)"
                }
            }
            #expect(await failure { $0.maxTokens = 0 }.hasPrefix("invalid max_tokens"))
            #expect(await failure { $0.minTokens = 5 }.hasPrefix("invalid min_tokens"))
            #expect(await failure { $0.stopTokens = [1 << 30] }.hasPrefix("invalid stop_token_ids"))
            #expect(await failure { $0.sampling.logitBias = [TokenBias(token: 1 << 30, bias: 1)] }.hasPrefix("invalid logit_bias"))
            #expect(await failure { $0.sampling.logitBias = [TokenBias(token: 1, bias: 101)] }.contains("logit_bias"))
            #expect(await failure { $0.choices = 129 }.contains("choices"))
            #expect(await failure { $0.logprobs = 21 }.contains("logprobs"))
            await client.close()
        }
    }

    @Test func aTimeLimitBeforeAnyWorkIsToldApart() async throws {
        try await TestCluster.run { cluster in
            let prefill = try #require(await cluster.processes.process("prefill-0"))
            prefill.signal(SIGSTOP)
            let client = try await cluster.connect()
            var submission = Submission(prompt: .tokens([1, 2, 3]), sampling: .greedy, maxTokens: 4)
            submission.timeout = .milliseconds(400)
            await #expect { try await client.answer(to: submission) } throws: { error in
                (error as? RequestFailure)?.code == .expired
            }
            prefill.signal(SIGCONT)
            await client.close()
        }
    }

    @Test func theCommandTellsOfChoicesAndLogprobs() async throws {
        try await TestCluster.run { cluster in
            struct Report: Decodable {
                struct Score: Decodable {
                    var token: TokenID
                    var logprob: Float?
                }
                struct Choice: Decodable { var text: String }
                var text: String
                var logprobs: [Score]?
                var choices: [Choice]?
                var prompt_logprobs: [Score]?
            }
            let common = ["generate", "Mira found a brass key.", "--json", "--seed", "3"]
            for extra in [
                ["--max-tokens", "12", "--temperature", "0.9", "-n", "3", "--logprobs", "2", "--min-tokens", "4"],
                ["--max-tokens", "0", "--echo", "--logprobs", "1"],
                ["--max-tokens", "16", "--logit-bias", "5:20", "--logit-bias", "9:-100", "--stop-token-ids", "5,6"],
                ["--max-tokens", "30", "--regex", "[a-z]{3,9}", "--temperature", "1"],
            ] {
                let local = try await baton(common + extra + ["--local", "--model", TestCluster.model])
                let served = try await baton(common + extra + ["--rpc", cluster.plan.rpc])
                #expect(local.code == .exited(0), "\(local.error)")
                #expect(served.code == .exited(0), "\(served.error)")
                let a = try JSONDecoder().decode(Report.self, from: Data(local.output.utf8))
                let b = try JSONDecoder().decode(Report.self, from: Data(served.output.utf8))
                #expect(a.text == b.text && a.choices?.map(\.text) == b.choices?.map(\.text), "\(extra)")
                #expect(a.logprobs?.map(\.logprob) == b.logprobs?.map(\.logprob))
                #expect(a.prompt_logprobs?.map(\.logprob) == b.prompt_logprobs?.map(\.logprob))
                #expect((a.choices?.count ?? 1) == (extra.contains("-n") ? 3 : 1))
                #expect((a.prompt_logprobs != nil) == extra.contains("--echo"))
            }
            let usage = try await baton(["generate", "x", "--max-tokens", "0"])
            #expect(usage.code == .exited(2))
        }
    }
}

extension ClusterTests {
    @Test func aClientResumesAtTheNextTokenAfterTheCoordinatorsDeath() async throws {
        var submission = Submission(
            prompt: .tokens([1, 2, 3]), sampling: SamplingParameters(temperature: 1), seed: 5, maxTokens: 400, ignoreEndTokens: true,
            choices: 2, logprobs: 1, promptLogprobs: 0)
        let expected = try #require(try await Alone.answers(to: [submission]).first)
        // The seed that the coordinator draws is the one to go on with; here it is known, to know the answer.
        submission.seed = 5
        try await TestCluster.run { cluster in
            let client = try await cluster.connect()
            var assembly = AnswerAssembly(), count = 0
            for try await event in client.generate(submission, resumingFor: .seconds(60)) {
                try assembly.take(event)
                guard case .tokens = event else { continue }
                count += 1
                if count == 40 {
                    await cluster.processes.kill(ClusterPlan.coordinatorName)
                    try await cluster.processes.start(ClusterPlan.coordinatorName)
                }
            }
            let answer = try #require(assembly.answer)
            #expect(answer.prompt == expected.prompt)
            #expect(answer.choices.map(\.tokens) == expected.choices.map(\.tokens))
            try await cluster.waitUntilIdle()
            await client.close()
        }
    }

    @Test func eachChoiceHasAStreamOfItsOwn() async throws {
        try await TestCluster.run { cluster in
            let client = try await cluster.connect()
            let submission = Submission(
                prompt: .tokens([7, 8]), sampling: SamplingParameters(temperature: 1), seed: 2, maxTokens: 20, ignoreEndTokens: true,
                choices: 3)
            let whole = try await client.answer(to: submission)
            for (stream, choice) in zip(client.choices(of: submission), whole.choices) {
                var tokens: [ScoredToken] = [], text = ""
                for try await event in stream {
                    switch event {
                    case .tokens(let first, let more, let piece):
                        #expect(Int(first) == tokens.count)
                        tokens += more
                        text += piece
                    case .finished(let completion): text += completion.text
                    }
                }
                #expect(tokens == choice.tokens && text == choice.text)
            }
            // Nobody reads: the request is cancelled.
            var long = submission
            long.maxTokens = 900
            do {
                var streams = client.choices(of: long).map { $0.makeAsyncIterator() }
                for index in streams.indices { _ = try await streams[index].next() }
            }
            try await cluster.waitUntilIdle(within: .seconds(10))
            await client.close()
        }
    }
}
