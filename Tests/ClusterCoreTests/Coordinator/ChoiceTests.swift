import ClusterCore
import Generation
import Testing

@testable import ClusterCore

/// Requests for several choices, and for the scores of their prompt, as the scheduler serves them.
@Suite struct ChoiceTests {
    private let prompt: [TokenID] = [1, 2, 3, 4, 5]

    /// Two choices: the request is r1, its choices r2 and r3.
    private func cluster(
        choices: Int32 = 2, maxTokens: Int32 = 3, promptLogprobs: Int32? = nil,
        workers: [(String, WorkerRole)] = [("p", .prefill), ("d", .decode)]
    ) -> SchedulerHarness {
        var cluster = SchedulerHarness()
        for (name, role) in workers { cluster.join(name, role) }
        cluster.handle(
            .submitted(
                ClientRequest(
                    key: ClientRequestKey(client: ClientID(1), key: 1), prompt: prompt, sampling: SamplingParameters(seed: 9),
                    stop: StopConditions(maxTokens: maxTokens), choices: choices, promptLogprobs: promptLogprobs)))
        return cluster
    }

    private func name(_ request: UInt64, _ ordinal: UInt32 = 1) -> AttemptID {
        AttemptID(request: RequestID(request), ordinal: ordinal)
    }

    private func first(_ request: UInt64, _ token: TokenID) -> TokenEvent {
        TokenEvent(attempt: name(request), index: 0, token: token)
    }

    private func token(_ request: UInt64, _ index: Int32, _ token: TokenID, _ ordinal: UInt32 = 1) -> TokenEvent {
        TokenEvent(attempt: name(request, ordinal), index: index, token: token)
    }

    @Test func onePromptIsOrderedAndBothChoicesComeOfIt() throws {
        var cluster = cluster()
        let forks = [Fork(attempt: name(2), choice: 0), Fork(attempt: name(3), choice: 1)]
        guard case .grant(let grant)? = cluster.log.orders(to: "d").last else { throw Failure("no grant") }
        #expect(grant.sequence.attempt == name(1) && grant.sequence.forks == forks)
        guard case .prefill(let order)? = cluster.log.orders(to: "p").last else { throw Failure("no order") }
        #expect(order.sequence.forks == forks && order.sequence.tokens == prompt)

        let told = cluster.say("p", .promptForked(name(1), [first(2, 20), first(3, 30)]))
        #expect(told.choices == [Told(0, 0, [20]), Told(1, 0, [30])])
        cluster.say("d", .kvWhole(name(1)))
        cluster.say("p", .transferFinished(name(1)))
        let both = cluster.say("d", .tokens([token(2, 1, 21), token(3, 1, 31)]))
        #expect(both.choices == [Told(0, 1, [21]), Told(1, 1, [31])])
        #expect(cluster.say("d", .tokens([token(3, 2, 32)])).ended == [1])
        #expect(cluster.scheduler.openRequestCount == 1)
        #expect(cluster.say("d", .tokens([token(2, 2, 22)])).ended == [0])
        #expect(cluster.scheduler.openRequestCount == 0)
        cluster.scheduler.checkInvariants()
    }

    @Test func tokensThatOvertakeTheFirstOnesWaitForThem() {
        var cluster = cluster()
        cluster.say("d", .kvWhole(name(1)))
        #expect(cluster.say("d", .tokens([token(2, 1, 21), token(3, 1, 31)])).choices.isEmpty)
        let told = cluster.say("p", .promptForked(name(1), [first(2, 20), first(3, 30)]))
        #expect(told.choices == [Told(0, 0, [20, 21]), Told(1, 0, [30, 31])])
        cluster.scheduler.checkInvariants()
    }

    @Test func aLostDecodeWorkerCostsEachChoiceAReplayOfItsOwn() throws {
        var cluster = cluster(maxTokens: 4, workers: [("p", .prefill), ("d", .decode), ("e", .decode)])
        let home = cluster.log.orders(to: "d").isEmpty ? "e" : "d", other = home == "d" ? "e" : "d"
        cluster.say("p", .promptForked(name(1), [first(2, 20), first(3, 30)]))
        cluster.say(home, .kvWhole(name(1)))
        cluster.say("p", .transferFinished(name(1)))
        cluster.say(home, .tokens([token(2, 1, 21)]))
        let actions = cluster.lose(home)
        let orders = actions.orders(to: "p").compactMap { message -> SequenceOrder? in
            if case .prefill(let order) = message { order.sequence } else { nil }
        }
        #expect(orders.map(\.tokens) == [prompt + [20, 21], prompt + [30]])
        #expect(orders.map(\.sampling.choice) == [0, 1])
        #expect(orders.allSatisfy { $0.forks.isEmpty && $0.attempt.ordinal == 2 })
        #expect(actions.orders(to: other).count == 2)
        let again = cluster.say("p", .prefillFinished(name(3, 2), token(3, 1, 31, 2)))
        #expect(again.choices == [Told(1, 1, [31])])
        cluster.scheduler.checkInvariants()
    }

    @Test func aLostPrefillWorkerStartsThePromptOverForAll() throws {
        var cluster = cluster(workers: [("p", .prefill), ("q", .prefill), ("d", .decode)])
        let home = cluster.log.orders(to: "p").isEmpty ? "q" : "p", other = home == "p" ? "q" : "p"
        let actions = cluster.lose(home)
        // What the decode worker may have made of it meanwhile must not go on.
        #expect(actions.orders(to: "d").filter { if case .cancel = $0 { true } else { false } }.count == 3)
        guard case .prefill(let order)? = actions.orders(to: other).last else { throw Failure("no order") }
        #expect(order.sequence.forks == [Fork(attempt: name(2, 2), choice: 0), Fork(attempt: name(3, 2), choice: 1)])
    }

    @Test func aChoiceThatMeetsAStopStringLeavesTheOthersAlone() {
        var cluster = cluster()
        cluster.say("p", .promptForked(name(1), [first(2, 20), first(3, 30)]))
        let stopped = cluster.handle(.stopMatched(RequestID(1), choice: 1))
        #expect(stopped.ended == [1])
        #expect(stopped.orders(to: "d") == [.cancel(name(3))])
        cluster.say("d", .kvWhole(name(1)))
        #expect(cluster.say("d", .tokens([token(2, 1, 21)])).choices == [Told(0, 1, [21])])
        cluster.scheduler.checkInvariants()
    }

    @Test func cancellationEndsAllOfIt() {
        var cluster = cluster()
        cluster.say("p", .promptForked(name(1), [first(2, 20), first(3, 30)]))
        cluster.say("d", .kvWhole(name(1)))
        let actions = cluster.handle(.cancelled(ClientRequestKey(client: ClientID(1), key: 1)))
        #expect(actions.failureCode == .cancelled && actions.endings.count == 1)
        #expect(Set(actions.orders(to: "d")) == [.cancel(name(2)), .cancel(name(3))])
        #expect(cluster.scheduler.openRequestCount == 0)
        cluster.scheduler.checkInvariants()
    }

    /// What a worker says that does not know its business changes nothing for others.
    @Test func nonsenseAboutAPromptIsHarmless() {
        var cluster = cluster()
        cluster.say("d", .parked(name(1)))
        cluster.say("d", .tokens([token(1, 0, 5)]))
        cluster.say("p", .prefillFinished(name(1), token(1, 0, 5)))
        cluster.say("p", .promptForked(name(1), [first(2, 20), first(3, 30), first(2, 21), first(99, 1), first(1, 1)]))
        cluster.say("p", .promptForked(name(1), [first(2, 22)]))
        #expect(cluster.log.choices == [Told(0, 0, [20]), Told(1, 0, [30])])
        cluster.say("p", .transferFinished(name(1)))
        #expect(cluster.say("d", .tokens([token(2, 1, 21), token(3, 1, 31)])).choices == [Told(0, 1, [21]), Told(1, 1, [31])])
        var other = self.cluster()
        other.say("p", .transferFinished(name(1)))
        #expect(other.log.prefills.count == 2)
    }

    @Test func blocksOfThePromptArePaidForOnce() throws {
        var cluster = cluster(choices: 8)
        let budget = try #require(cluster.log.orders(to: "d").compactMap { message -> Int? in
            if case .grant(let grant) = message { grant.budget } else { nil }
        }.last)
        // No more than a single answer of greatest length could need: every worker that may serve it has as much.
        #expect(budget <= SchedulerHarness.geometry.blockCount(forTokens: prompt.count + 3))
        cluster.say("d", .kvWhole(name(1)))
        cluster.scheduler.checkInvariants()
    }

    // MARK: Scores

    private func scores(_ first: Int, _ count: Int) -> PromptScores {
        PromptScores(first: first, tokens: (0..<count).map { TokenLogprobs(logprob: -Float(first + $0)) })
    }

    private func scored(_ positions: Range<Int>) -> [ScoredToken] {
        positions.map { ScoredToken(prompt[$0], $0 == 0 ? nil : TokenLogprobs(logprob: -Float($0))) }
    }

    @Test func scoresReachTheClientOnceWhoeverComputedThem() {
        var cluster = cluster(choices: 1, promptLogprobs: 0, workers: [("p", .prefill), ("q", .prefill), ("d", .decode)])
        let home = cluster.log.orders(to: "p").isEmpty ? "q" : "p", other = home == "p" ? "q" : "p"
        #expect(cluster.say(home, .promptScored(name(1), scores(1, 2))).prompts == [scored(0..<3)])
        let orders = cluster.lose(home).orders(to: other)
        guard case .prefill(let order)? = orders.last else {
            Issue.record("no order: \(orders)")
            return
        }
        #expect(order.sequence.scoring == PromptScoring(top: 0, first: 3))
        // A worker that scores more than it must changes nothing.
        #expect(cluster.say(other, .promptScored(name(1, 2), scores(2, 3))).prompts == [scored(3..<5)])
        #expect(cluster.say(other, .promptScored(name(1, 2), scores(1, 4))).prompts == [])
        #expect(cluster.say(other, .prefillFinished(name(1, 2), token(1, 0, 9, 2))).choices == [Told(0, 0, [9])])
    }

    @Test func aTokenBeforeTheScoresIsNotBelieved() {
        var cluster = cluster(choices: 1, promptLogprobs: 0, workers: [("p", .prefill), ("q", .prefill), ("d", .decode)])
        let home = cluster.log.orders(to: "p").isEmpty ? "q" : "p"
        cluster.say(home, .promptScored(name(1), scores(1, 2)))
        let actions = cluster.say(home, .prefillFinished(name(1), token(1, 0, 9)))
        #expect(actions.choices.isEmpty)
        #expect(!actions.orders(to: home == "p" ? "q" : "p").isEmpty)
    }

    @Test func scoresBeyondThePromptOrBehindAGapAreDropped() {
        var cluster = cluster(choices: 1, promptLogprobs: 0)
        for bad in [scores(2, 3), scores(1, 5), scores(0, 3), PromptScores(first: .max, tokens: [TokenLogprobs(logprob: 0)])] {
            #expect(cluster.say("p", .promptScored(name(1), bad)).prompts.isEmpty)
        }
        #expect(cluster.say("p", .promptScored(name(1), scores(1, 4))).prompts == [scored(0..<5)])
    }

    @Test func aPromptThatIsOnlyScoredNeedsNoDecodeWorker() {
        var cluster = cluster(choices: 3, maxTokens: 0, promptLogprobs: 0)
        #expect(cluster.log.orders(to: "d").allSatisfy { if case .grant = $0 { false } else { true } })
        guard case .prefill(let order)? = cluster.log.orders(to: "p").last else {
            Issue.record("no order")
            return
        }
        #expect(order.destination == nil && order.sequence.forks.isEmpty)
        let actions = cluster.say("p", .promptScored(name(1), scores(1, 4)))
        #expect(actions.prompts == [scored(0..<5)] && actions.ended == [0] && actions.choices.isEmpty)
        #expect(cluster.scheduler.openRequestCount == 0)
        cluster.scheduler.checkInvariants()
    }

    @Test func anAnswerOfOneTokenSendsNoKV() {
        var cluster = cluster(choices: 2, maxTokens: 1)
        guard case .prefill(let order)? = cluster.log.orders(to: "p").last else {
            Issue.record("no order")
            return
        }
        #expect(order.destination == nil)
        #expect(cluster.say("p", .promptForked(name(1), [first(2, 20), first(3, 30)])).ended == [0, 1])
        cluster.scheduler.checkInvariants()
    }

    @Test(arguments: [false, true]) func aTimeLimitThatPassesBeforeAnyWorkIsToldApart(hasBegun: Bool) {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.submit(1, prompt: prompt, deadline: cluster.now + .milliseconds(50))
        if hasBegun { cluster.say("p", .prefillStarted(name(1))) }
        let actions = cluster.wait(.milliseconds(60))
        #expect(actions.failureCode == (hasBegun ? .timedOut : .expired))
        #expect(RequestFailure(code: .expired, message: "").isRetryable)
        #expect(!RequestFailure(code: .timedOut, message: "").isRetryable)
    }
}

private struct Failure: Error {
    var what: String
    init(_ what: String) { self.what = what }
}

/// Tokens that a client was told.
private struct Told: Equatable {
    var choice: Int32
    var first: Int32
    var tokens: [TokenID]

    init(_ choice: Int32, _ first: Int32, _ tokens: [TokenID]) {
        (self.choice, self.first, self.tokens) = (choice, first, tokens)
    }
}

extension [Scheduler.Action] {
    fileprivate var choices: [Told] {
        compactMap { if case .emit(_, let choice, let first, let tokens) = $0 { Told(choice, first, tokens.map(\.token)) } else { nil } }
    }

    fileprivate var prompts: [[ScoredToken]] {
        compactMap { if case .emitPrompt(_, _, let tokens) = $0 { tokens } else { nil } }
    }

    fileprivate var ended: [Int32] {
        compactMap { if case .finish(_, let choice, _) = $0 { choice } else { nil } }
    }
}
