import ClusterCore
import Generation
import Testing

@Suite struct MixedPlacementTests {
    private func attempt(_ request: UInt64, _ ordinal: UInt32 = 1) -> AttemptID {
        AttemptID(request: RequestID(request), ordinal: ordinal)
    }

    private func token(_ attempt: AttemptID, _ index: Int32) -> TokenEvent {
        TokenEvent(attempt: attempt, index: index, token: 100 + index)
    }

    /// Those of the workers that were granted something.
    private func grants(_ actions: [Scheduler.Action], _ workers: [String]) -> [String] {
        workers.filter { worker in
            actions.orders(to: worker).contains { if case .grant = $0 { true } else { false } }
        }
    }

    @Test func aMixedWorkerServesAlone() {
        var cluster = SchedulerHarness()
        cluster.join("m", .mixed)
        let actions = cluster.submit(1)
        // The grant says everything: no order goes with it.
        #expect(actions.orders(to: "m").count == 1 && actions.grants.count == 1)
        let a = attempt(1)
        cluster.say("m", .prefillStarted(a))
        #expect(cluster.say("m", .prefillFinished(a, token(a, 0))).emitted == [100])
        cluster.say("m", .embedded(a, row: 0))
        for index in 1...3 { cluster.say("m", .tokens([token(a, Int32(index))])) }
        guard case .finish(_, _, let summary)? = cluster.log.endings.first else {
            Issue.record("no end")
            return
        }
        #expect(summary.prefillWorker == WorkerID("m") && summary.decodeWorker == WorkerID("m"))
        #expect(summary.tokenCount == 4 && summary.attempts == 1 && summary.timings.transfer == .zero)
        #expect(cluster.scheduler.openRequestCount == 0)
    }

    @Test func pairsComeFirstAndMixedWorkersTakeTheRestByLoad() {
        var cluster = SchedulerHarness { ($0.embedLookahead, $0.prefillLookahead) = (0, 0) }
        let workers = ["d", "m", "n"]
        cluster.join("p", .prefill)
        cluster.join("d", .decode, rows: 2)
        cluster.join("m", .mixed, rows: 2)
        cluster.join("n", .mixed, rows: 4)
        var placed: [[String]] = []
        for request: UInt64 in 1...9 { placed.append(grants(cluster.submit(request), workers)) }
        // Full of 2, 2 and 4 rows; among the mixed ones whoever has the smaller share of its rows taken.
        #expect(placed == [["d"], ["d"], ["m"], ["n"], ["n"], ["m"], ["n"], ["n"], []])
        #expect(cluster.scheduler.waitingCount == 1)
        // The next one goes where room is.
        let freed = cluster.say("d", .decodeFailed(attempt(1), .computation("bad")))
        #expect(grants(freed, workers) == ["d"])
    }

    @Test func aPromptTooLongForPairsGoesToAMixedWorker() {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode, blocks: 4)
        cluster.join("m", .mixed, blocks: 16)
        #expect(grants(cluster.submit(1, prompt: Array(repeating: 1, count: 20), maxTokens: 8), ["d", "m"]) == ["m"])
        #expect(cluster.submit(2, prompt: Array(repeating: 1, count: 60), maxTokens: 8).failureCode == .invalid)
    }

    @Test func aLostMixedWorkerIsReplayedElsewhere() throws {
        for tokenCount in 0...2 {
            var cluster = SchedulerHarness()
            cluster.join("m", .mixed)
            cluster.submit(1)
            let a = attempt(1)
            if tokenCount > 0 { cluster.say("m", .prefillFinished(a, token(a, 0))) }
            if tokenCount > 1 { cluster.say("m", .tokens([token(a, 1)])) }
            cluster.lose("m")
            let grant = try #require(cluster.join("n", .mixed).grants.first)
            #expect(grant.sequence.attempt == attempt(1, 2))
            #expect(grant.sequence.tokens == [1, 2, 3, 4, 5] + [100, 101].prefix(tokenCount))
            let b = attempt(1, 2)
            let next = Int32(tokenCount)
            #expect(cluster.say("n", .prefillFinished(b, token(b, next))).emitted == [100 + next])
        }
    }

    @Test func aMixedWorkerThatGivesUpHoldsNothing() throws {
        var cluster = SchedulerHarness()
        cluster.join("m", .mixed)
        cluster.submit(1)
        // Half-way through the prompt. There is no KV to send anywhere: the next attempt begins at the beginning.
        let actions = cluster.say("m", .decodeFailed(attempt(1), .evicted))
        #expect(actions.orders(to: "m").count == 2)
        #expect(actions.grants.first?.sequence.attempt == attempt(1, 2))
    }

    @Test func kvThatNobodyCanTakeIsGivenUpForAMixedWorker() throws {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.join("m", .mixed)
        cluster.submit(1)
        cluster.say("p", .prefillFinished(attempt(1), token(attempt(1), 0)))
        let actions = cluster.lose("d")
        #expect(actions.orders(to: "p") == [.cancel(attempt(1))])
        let grant = try #require(actions.grants.first)
        #expect(grant.sequence.tokens == [1, 2, 3, 4, 5, 100] && grant.sequence.attempt == attempt(1, 2))
        #expect(grants(actions, ["m"]) == ["m"])
    }

    @Test func afterAFailureAnotherWorkerIsPreferred() {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.join("m", .mixed)
        #expect(grants(cluster.submit(1), ["d", "m"]) == ["d"])
        #expect(grants(cluster.say("p", .prefillFailed(attempt(1), .transferLost)), ["d", "m"]) == ["m"])
        #expect(grants(cluster.say("m", .decodeFailed(attempt(1, 2), .transferLost)), ["d", "m"]).isEmpty)
        // After a pause, as two attempts brought nothing, it is the pair's turn again.
        #expect(grants(cluster.wait(.seconds(1), alive: ["p", "d", "m"]), ["d", "m"]) == ["d"])
    }

    @Test func cancellationIsToldOnce() {
        var cluster = SchedulerHarness()
        cluster.join("m", .mixed)
        cluster.submit(1)
        let actions = cluster.handle(.cancelled(ClientRequestKey(client: ClientID(1), key: 1)))
        #expect(actions.orders(to: "m") == [.cancel(attempt(1))])
    }

    @Test func aLeavingMixedWorkerTakesNothingNew() {
        var cluster = SchedulerHarness()
        cluster.join("m", .mixed)
        cluster.say("m", .leaving)
        #expect(cluster.submit(1).grants.isEmpty)
        #expect(cluster.join("n", .mixed).grants.count == 1)
    }

    @Test func halfAPairServesNobody() {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.submit(1, deadline: cluster.now + .milliseconds(500))
        #expect(cluster.wait(.seconds(1), alive: ["p"]).failureCode == .noWorker)
        cluster.submit(2)
        #expect(cluster.join("m", .mixed).grants.count == 1)
    }
}
