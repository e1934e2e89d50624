import ClusterCore
import Generation
import Testing

@Suite struct SchedulerTests {
    func attempt(_ request: UInt64, _ ordinal: UInt32) -> AttemptID {
        AttemptID(request: RequestID(request), ordinal: ordinal)
    }

    func token(_ attempt: AttemptID, _ index: Int32, _ token: TokenID) -> TokenEvent {
        TokenEvent(attempt: attempt, index: index, token: token)
    }

    @Test func undisturbedRequestStreamsAndFinishes() throws {
        var cluster = SchedulerHarness()
        let a = cluster.startDecoding()
        cluster.say("d", .embedded(a, row: 0))
        for index in 1...3 { cluster.say("d", .tokens([token(a, Int32(index), 100 + Int32(index))])) }
        #expect(cluster.log.emitted == [100, 101, 102, 103])
        guard case .finish(_, _, let summary)? = cluster.log.endings.first else { throw Failure("no end") }
        #expect(summary.reason == .length && summary.tokenCount == 4 && summary.attempts == 1)
        #expect(summary.prefillWorker == WorkerID("p") && summary.decodeWorker == WorkerID("d"))
        #expect(cluster.log.endings.count == 1)
        #expect(cluster.scheduler.openRequestCount == 0)
    }

    @Test func grantPrecedesOrderAndCoversGrowth() throws {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        let actions = cluster.submit(1, prompt: [1, 2, 3, 4, 5], maxTokens: 30)
        let sends = actions.compactMap { action -> CoordinatorMessage? in
            guard case .send(_, _, let message) = action else { return nil }
            return message
        }
        guard case .grant(let grant)? = sends.first, case .prefill(let order)? = sends.last else {
            throw Failure("\(sends)")
        }
        #expect(grant.budget == 2 + 4)  // Two blocks of four hold five tokens; four to grow.
        #expect(order.destination == KVDestination(worker: WorkerID("d"), endpoint: "at-d"))
        // A short answer needs no more than it can ever use.
        #expect(cluster.submit(2, prompt: [1, 2, 3, 4, 5], maxTokens: 4).grants.first?.budget == 3)
    }

    @Test func firstTokenThatEndsTheAnswerStopsBothSides() throws {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.submit(1, endTokens: [9])
        let actions = cluster.say("p", .prefillFinished(attempt(1, 1), token(attempt(1, 1), 0, 9)))
        guard case .finish(_, _, let summary)? = actions.endings.first else { throw Failure("no end") }
        #expect(summary.reason == .stop && summary.decodeWorker == nil)
        #expect(actions.orders(to: "d") == [.cancel(attempt(1, 1))])
    }

    @Test func tokensThatOvertakeTheFirstOneWait() {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.submit(1)
        let a = attempt(1, 1)
        cluster.say("d", .kvWhole(a))
        #expect(cluster.say("d", .tokens([token(a, 1, 101)])).emitted == [])
        #expect(cluster.say("p", .prefillFinished(a, token(a, 0, 100))).emitted == [100, 101])
        #expect(cluster.say("d", .tokens([token(a, 2, 102)])).emitted == [102])
    }

    @Test func lossOfThePrefillWorkerBeforeItsTokenReplays() throws {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.submit(1)
        let a = attempt(1, 1)
        cluster.say("d", .kvWhole(a))
        cluster.say("d", .tokens([token(a, 1, 101)]))
        let actions = cluster.lose("p")
        #expect(actions.orders(to: "d") == [.cancel(a)])
        #expect(cluster.log.emitted == [])
        #expect(cluster.join("q", .prefill).prefills.first?.sequence.attempt == attempt(1, 2))
    }

    @Test func decodeWorkerLostMidTransferIsRetargeted() {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.submit(1)
        cluster.join("e", .decode)
        cluster.say("p", .prefillFinished(attempt(1, 1), token(attempt(1, 1), 0, 100)))
        let actions = cluster.lose("d")
        let destination = KVDestination(worker: WorkerID("e"), endpoint: "at-e")
        #expect(
            actions.orders(to: "p") == [.retarget(from: attempt(1, 1), to: attempt(1, 2), destination)])
        #expect(actions.grants.first?.sequence.attempt == attempt(1, 2))
        // The KV to come is that of the prompt alone, whatever was emitted since.
        #expect(actions.grants.first?.sequence.tokens == [1, 2, 3, 4, 5])
        // The old name means nothing any more, the new one goes on where the answer stands.
        cluster.say("p", .prefillFinished(attempt(1, 2), token(attempt(1, 2), 0, 100)))
        cluster.say("e", .kvWhole(attempt(1, 2)))
        cluster.say("e", .tokens([token(attempt(1, 2), 1, 101)]))
        #expect(cluster.log.emitted == [100, 101])
    }

    @Test func prefillWorkerThatLostTheKVStartsAfresh() {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.submit(1)
        cluster.join("e", .decode)
        cluster.lose("d")
        let actions = cluster.say("p", .prefillFailed(attempt(1, 2), .refused("not held")))
        #expect(actions.orders(to: "e").first == .cancel(attempt(1, 2)))
        cluster.wait(.seconds(1), alive: ["p", "e"])
        #expect(cluster.log.prefills.last?.sequence.attempt == attempt(1, 3))
    }

    @Test func retargetWaitsForADecodeWorker() {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.submit(1)
        #expect(cluster.lose("d").orders(to: "p").isEmpty)
        // Its token still counts while the KV looks for a home.
        #expect(cluster.say("p", .prefillFinished(attempt(1, 1), token(attempt(1, 1), 0, 100))).emitted == [100])
        guard case .retarget? = cluster.join("e", .decode).orders(to: "p").first else {
            Issue.record("no retarget")
            return
        }
    }

    @Test func decodeWorkerLostMidDecodeIsReplayed() {
        var cluster = SchedulerHarness()
        let a = cluster.startDecoding()
        cluster.say("d", .tokens([token(a, 1, 101)]))
        cluster.lose("d")
        let actions = cluster.join("e", .decode)
        #expect(actions.prefills.first?.sequence.tokens == [1, 2, 3, 4, 5, 100, 101])
        #expect(actions.prefills.first?.sequence.firstIndex == 2)
        let b = attempt(1, 2)
        cluster.say("p", .prefillFinished(b, token(b, 2, 102)))
        cluster.say("e", .kvWhole(b))
        cluster.say("e", .tokens([token(b, 3, 103)]))
        // The limit counts the whole answer.
        #expect(cluster.log.emitted == [100, 101, 102, 103])
        #expect(cluster.log.endings.count == 1)
    }

    @Test func lossOfThePrefillWorkerAfterTheKVIsWholeDoesNotMatter() {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.submit(1)
        let a = attempt(1, 1)
        cluster.say("p", .prefillFinished(a, token(a, 0, 100)))
        cluster.say("d", .kvWhole(a))
        #expect(cluster.lose("p").orders(to: "d").isEmpty)
        #expect(cluster.say("d", .tokens([token(a, 1, 101)])).emitted == [101])
    }

    @Test func evictionReplays() {
        var cluster = SchedulerHarness()
        let a = cluster.startDecoding()
        let actions = cluster.say("d", .decodeFailed(a, .evicted))
        #expect(actions.prefills.first?.sequence.tokens == [1, 2, 3, 4, 5, 100])
        #expect(cluster.say("d", .tokens([token(a, 1, 55)])).emitted == [])
    }

    @Test func brokenComputationFailsAtOnce() {
        var cluster = SchedulerHarness()
        let a = cluster.startDecoding()
        #expect(cluster.say("d", .decodeFailed(a, .computation("nan"))).failureCode == .failed)
        cluster.submit(2)
        #expect(cluster.say("p", .prefillFailed(attempt(2, 1), .computation("nan"))).failureCode == .failed)
    }

    @Test func fruitlessAttemptsAreLimitedAndPaced() {
        var cluster = SchedulerHarness { $0.maxFruitlessAttempts = 3 }
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.submit(1)
        #expect(!cluster.say("p", .prefillFailed(attempt(1, 1), .transferLost)).prefills.isEmpty)
        #expect(cluster.say("p", .prefillFailed(attempt(1, 2), .transferLost)).prefills.isEmpty)
        #expect(!cluster.wait(.milliseconds(60), alive: ["p", "d"]).prefills.isEmpty)
        #expect(cluster.say("p", .prefillFailed(attempt(1, 3), .transferLost)).failureCode == .failed)
    }

    @Test func aTokenTooManyOrTooFewIsNotEmitted() {
        var cluster = SchedulerHarness()
        let a = cluster.startDecoding(maxTokens: 9)
        cluster.say("d", .tokens([token(a, 1, 101)]))
        #expect(cluster.say("d", .tokens([token(a, 1, 101)])).emitted == [])
        let actions = cluster.say("d", .tokens([token(a, 3, 103)]))
        #expect(actions.emitted == [] && !actions.prefills.isEmpty)
    }

    @Test(arguments: 0..<4) func cancelFreesEveryPhase(phase: Int) {
        var cluster = SchedulerHarness()
        let a = attempt(1, 1)
        if phase > 0 {
            cluster.join("p", .prefill)
            cluster.join("d", .decode)
        }
        cluster.submit(1)
        if phase > 1 { cluster.say("p", .prefillFinished(a, token(a, 0, 100))) }
        if phase > 2 { cluster.say("d", .kvWhole(a)) }
        let actions = cluster.handle(.clientGone(ClientID(1)))
        #expect(actions.failureCode == .cancelled)
        #expect(actions.orders(to: "p") == (phase > 0 ? [.cancel(a)] : []))
        #expect(actions.orders(to: "d") == (phase > 0 ? [.cancel(a)] : []))
        #expect(cluster.scheduler.openRequestCount == 0)
        #expect(cluster.handle(.cancelled(ClientRequestKey(client: ClientID(1), key: 1))).endings.isEmpty)
    }

    @Test func deadlinesSayWhetherWorkersWereMissing() {
        var cluster = SchedulerHarness()
        cluster.submit(1, deadline: Instant(nanoseconds: 1_000_000_000))
        #expect(cluster.wait(.seconds(2)).failureCode == .noWorker)
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.submit(2, deadline: Instant(nanoseconds: 4_000_000_000))
        let actions = cluster.wait(.seconds(3), alive: ["p", "d"])
        // It was given to workers, but none had begun.
        #expect(actions.failureCode == .expired)
        #expect(actions.orders(to: "d") == [.cancel(attempt(2, 1))])
    }

    @Test func stopStringEndsTheAnswer() throws {
        var cluster = SchedulerHarness()
        let a = cluster.startDecoding(maxTokens: 20)
        let actions = cluster.handle(.stopMatched(RequestID(1)))
        guard case .finish(_, _, let summary)? = actions.endings.first else { throw Failure("no end") }
        #expect(summary.reason == .stop)
        #expect(actions.orders(to: "d") == [.cancel(a)])
    }

    @Test func impossibleAndSuperfluousRequestsAreRefused() {
        var cluster = SchedulerHarness { $0.maxQueuedRequests = 2 }
        #expect(cluster.submit(1, prompt: []).failureCode == .invalid)
        #expect(cluster.submit(1, maxTokens: 0).failureCode == .invalid)
        #expect(cluster.submit(1, maxTokens: 60).failureCode == .invalid)
        #expect(cluster.submit(1, maxTokens: 59).failureCode == nil)
        #expect(cluster.submit(1).failureCode == .invalid)
        cluster.submit(2)
        #expect(cluster.submit(3).failureCode == .overloaded)
        cluster.join("d", .decode, blocks: 4)
        #expect(cluster.submit(4, maxTokens: 12).failureCode == .invalid)
    }

    @Test func aRequestTooLongForAllPresentDoesNotBlockOthers() {
        var cluster = SchedulerHarness()
        cluster.submit(1, maxTokens: 40)
        cluster.join("p", .prefill)
        #expect(cluster.join("d", .decode, blocks: 8).grants.isEmpty)
        #expect(cluster.submit(2).grants.count == 1)
        #expect(cluster.join("e", .decode, blocks: 16).grants.first?.sequence.attempt.request == RequestID(1))
    }

    @Test func rankDecidesWhoIsNext() {
        var cluster = SchedulerHarness { $0.embedLookahead = 0 }
        cluster.submit(1, priority: .low)
        cluster.submit(2)
        cluster.submit(3, priority: .high)
        cluster.submit(4, priority: .high)
        cluster.join("p", .prefill)
        let order = cluster.join("d", .decode, rows: 3).grants.map(\.sequence.attempt.request.rawValue)
        #expect(order == [3, 4, 2])
    }

    @Test func loadIsSpread() {
        var cluster = SchedulerHarness()
        for worker in ["p", "q"] { cluster.join(worker, .prefill) }
        for worker in ["d", "e"] { cluster.join(worker, .decode) }
        for key in 1...4 { cluster.submit(UInt64(key)) }
        for worker in ["p", "q", "d", "e"] { #expect(cluster.log.orders(to: worker).count == 1 + 2) }
    }

    @Test func drainingFinishesWhatIsOpen() {
        var cluster = SchedulerHarness()
        let a = cluster.startDecoding(maxTokens: 2)
        #expect(!cluster.handle(.drain).contains(.drained))
        #expect(cluster.submit(2).failureCode == .draining)
        #expect(cluster.say("d", .tokens([token(a, 1, 101)])).contains(.drained))
        #expect(!cluster.handle(.tick).contains(.drained))
    }

    @Test func watchersSeeARequestsLife() {
        var cluster = SchedulerHarness()
        #expect(!cluster.submit(9).contains { if case .observe = $0 { true } else { false } })
        cluster.handle(.cancelled(ClientRequestKey(client: ClientID(1), key: 9)))
        cluster.handle(.watched(true))
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.submit(1, maxTokens: 1)
        let a = attempt(2, 1)
        cluster.say("p", .prefillFinished(a, token(a, 0, 5)))
        let kinds = cluster.log.compactMap { action -> ClusterEvent.Kind? in
            guard case .observe(_, let kind) = action else { return nil }
            return kind
        }
        #expect(
            kinds == [
                .workerJoined(WorkerID("p"), .prefill), .workerJoined(WorkerID("d"), .decode),
                // A single token needs no decode worker.
                .submitted(promptCount: 5, .normal), .assigned(prefill: WorkerID("p"), decode: WorkerID("p")),
                .firstToken(WorkerID("p")), .token(index: 0), .finished(.length),
            ])
    }

    struct Failure: Error {
        init(_ text: String) { self.text = text }
        let text: String
    }
}
