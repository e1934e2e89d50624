import ClusterCore
import Generation
import Testing

/// The coordinator's side of preemption: who is placed over whom, and where a parked query goes on.
@Suite struct PreemptionTests {
    private func attempt(_ request: UInt64, _ ordinal: UInt32 = 1) -> AttemptID {
        AttemptID(request: RequestID(request), ordinal: ordinal)
    }

    private func token(_ attempt: AttemptID, _ index: Int32) -> TokenEvent {
        TokenEvent(attempt: attempt, index: index, token: 100 + index)
    }

    /// Request `id`, granted to `worker`, decodes there; two of its tokens are known.
    private func decode(_ id: UInt64, _ priority: Priority, on worker: String, in cluster: inout SchedulerHarness) {
        cluster.submit(id, maxTokens: 20, priority: priority)
        let attempt = attempt(id)
        cluster.say("p", .prefillFinished(attempt, token(attempt, 0)))
        cluster.say(worker, .kvWhole(attempt))
        cluster.say("p", .transferFinished(attempt))
        cluster.say(worker, .tokens([token(attempt, 1)]))
    }

    private func cluster(_ decodeWorkers: [String], rows: Int = 2, lookahead: Int = 0) -> SchedulerHarness {
        var cluster = SchedulerHarness { $0.embedLookahead = lookahead }
        cluster.join("p", .prefill)
        for worker in decodeWorkers { cluster.join(worker, .decode, rows: rows) }
        return cluster
    }

    @Test func anUrgentRequestIsGrantedAFullBatchAndALesserOneIsNot() {
        var cluster = cluster(["d"])
        decode(1, .low, on: "d", in: &cluster)
        decode(2, .normal, on: "d", in: &cluster)
        #expect(cluster.submit(3, priority: .low).grants.isEmpty)
        #expect(cluster.submit(4, priority: .high).grants.map(\.sequence.attempt) == [attempt(4)])
        #expect(cluster.submit(5, priority: .normal).grants.isEmpty, "the rows belong to its equals and betters")
        #expect(cluster.submit(6, priority: .high).grants.map(\.sequence.attempt) == [attempt(6)])
        #expect(cluster.submit(7, priority: .high).grants.isEmpty)
    }

    @Test func aParkedRequestWaitsInLineAndIsResumedWhereItIs() {
        var cluster = cluster(["d"], rows: 1)
        decode(1, .low, on: "d", in: &cluster)
        cluster.submit(2, priority: .high)
        #expect(cluster.say("d", .parked(attempt(1))).orders(to: "d").isEmpty, "its row is taken")
        #expect(cluster.scheduler.waitingCount == 1)
        let second = attempt(2)
        cluster.say("p", .prefillFinished(second, token(second, 0)))
        cluster.say("d", .kvWhole(second))
        let actions = cluster.say("d", .tokens((1...3).map { token(second, $0) }))
        // 5 tokens of prompt and 2 emitted fill two blocks of four; four more to grow into.
        #expect(actions.orders(to: "d") == [.cancel(second), .resume(attempt(1), budget: 6)])
        #expect(cluster.say("d", .tokens([token(attempt(1), 2)])).emitted == [102])
    }

    @Test func aParkedRequestIsSentToAWorkerWithRoom() throws {
        var cluster = cluster(["d"], rows: 1)
        decode(1, .low, on: "d", in: &cluster)
        cluster.submit(2, priority: .high)
        cluster.say("d", .parked(attempt(1)))
        let actions = cluster.join("e", .decode, rows: 1)
        let moved = attempt(1, 2)
        let grant = try #require(actions.grants.first)
        // The last token was sampled, but its KV was never computed: it goes with the commit.
        #expect(grant.sequence.attempt == moved && grant.sequence.tokens == [1, 2, 3, 4, 5, 100])
        let target = KVDestination(worker: WorkerID("e"), endpoint: "at-e")
        #expect(actions.orders(to: "d") == [.retarget(from: attempt(1), to: moved, target)])
        cluster.say("e", .kvWhole(moved))
        cluster.say("d", .transferFinished(moved))
        #expect(cluster.say("e", .tokens([token(moved, 2)])).emitted == [102])
    }

    @Test func aParkedRequestIsReplayedWhenItsWorkerIsLost() throws {
        var cluster = cluster(["d"], rows: 1)
        decode(1, .low, on: "d", in: &cluster)
        cluster.submit(2, priority: .high)
        cluster.say("d", .parked(attempt(1)))
        cluster.lose("d")
        let grants = cluster.join("e", .decode, rows: 2).grants
        let replay = try #require(grants.first { $0.sequence.attempt.request == RequestID(1) })
        #expect(replay.sequence.tokens == [1, 2, 3, 4, 5, 100, 101])
    }

    @Test func aCancelledParkedRequestIsForgottenWhereItLies() {
        var cluster = cluster(["d"], rows: 1)
        decode(1, .low, on: "d", in: &cluster)
        cluster.submit(2, priority: .high)
        cluster.say("d", .parked(attempt(1)))
        let actions = cluster.handle(.cancelled(ClientRequestKey(client: ClientID(1), key: 1)))
        #expect(actions.orders(to: "d") == [.cancel(attempt(1))] && cluster.scheduler.openRequestCount == 1)
    }

    @Test func whoHasWaitedForAHeadStartIsNotDisplacedByTheNextPriority() {
        var cluster = SchedulerHarness {
            $0.embedLookahead = 0
            $0.priorityHeadStart = .seconds(2)
        }
        cluster.join("p", .prefill)
        cluster.submit(1, maxTokens: 20, priority: .low)
        cluster.wait(.seconds(2), alive: ["p"])
        cluster.join("d", .decode, rows: 1)
        #expect(cluster.submit(2, priority: .normal).grants.isEmpty)
        #expect(cluster.submit(3, priority: .high).grants.count == 1)
    }

    @Test func workersThatHaveDriftedApartAreBalancedOneQueryAtATime() {
        var cluster = cluster(["d"], rows: 4)
        for id in 1...4 { decode(UInt64(id), .normal, on: "d", in: &cluster) }
        cluster.join("e", .decode, rows: 4)
        let actions = cluster.wait(.seconds(1.5), alive: ["p", "d", "e"])
        // The latest is the least valuable.
        #expect(actions.orders(to: "d") == [.preempt(attempt(4))])
        let moved = cluster.say("d", .parked(attempt(4)))
        #expect(moved.grants.map(\.sequence.attempt) == [attempt(4, 2)] && moved.orders(to: "e").count == 1)
        cluster.say("e", .kvWhole(attempt(4, 2)))
        cluster.say("d", .transferFinished(attempt(4, 2)))
        #expect(cluster.wait(.seconds(2), alive: ["p", "d", "e"]).orders(to: "d").isEmpty, "3 and 1 of 4 rows are near enough")
    }
}
