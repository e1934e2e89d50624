import ClusterCore
import Testing

@Suite struct WorkerSessionTests {
    var session = WorkerSession(SchedulerHarness.registration("p", .prefill))
    var now = Instant(nanoseconds: 0)
    let cluster = ClusterEpoch(3)
    let worker = WorkerEpoch(4)

    mutating func handle(_ event: WorkerSession.Event) -> [WorkerSession.Action] {
        let actions = session.handle(event, at: now)
        session.checkInvariants()
        return actions.filter { if case .wakeAt = $0 { false } else { true } }
    }

    func order(_ sequence: UInt64) -> Envelope {
        Envelope(clusterEpoch: cluster, workerEpoch: worker, sequence: sequence)
    }

    mutating func register() -> [WorkerSession.Action] {
        _ = handle(.tick)
        return handle(.message(order(1), .registered(cluster, worker)))
    }

    let cancel = CoordinatorMessage.cancel(AttemptID(request: RequestID(1), ordinal: 1))

    func register(_ ordinal: UInt64) -> [WorkerSession.Action] {
        [.send(.register(session.registration), .registration(ordinal: ordinal))]
    }

    @Test mutating func asksUntilAnswered() {
        #expect(handle(.tick) == register(1))
        #expect(handle(.tick) == [])
        now = now + .milliseconds(250)
        #expect(handle(.tick) == register(1))
        #expect(handle(.message(order(2), .registered(cluster, worker))) == [])
        #expect(handle(.message(order(1), .registered(cluster, worker))) == [.becameRegistered(cluster, worker)])
        #expect(handle(.message(order(1), .registered(cluster, worker))) == [])
        #expect(session.envelopes(for: [.tokens([])]) == [.send(.tokens([]), order(1))])
    }

    @Test mutating func startsOverOnlyWhenReleased() {
        #expect(register() == [.becameRegistered(cluster, worker)])
        #expect(handle(.message(order(1), cancel)) == [.deliver(cancel)])
        #expect(handle(.message(order(1), cancel)) == [])
        guard case .reset? = handle(.message(order(3), cancel)).first else {
            Issue.record("a gap was accepted")
            return
        }
        #expect(session.envelopes(for: [.tokens([])]) == [])
        #expect(handle(.tick) == [])
        #expect(handle(.released) == register(2))
        // The answer to the first registration comes too late.
        #expect(handle(.message(order(1), .registered(cluster, worker))) == [])
    }

    @Test mutating func answersPingsAndMissesThem() {
        _ = register()
        let ping = Ping(clusterEpoch: cluster, workerEpoch: worker, sequence: 8, controlSent: 0)
        guard case .pong(let pong)? = handle(.ping(ping, WorkerLoad(rows: 2))).first else {
            Issue.record("no answer")
            return
        }
        #expect(pong.sequence == 8 && pong.load.rows == 2)
        now = now + .milliseconds(2900)
        #expect(handle(.tick) == [])
        now = now + .milliseconds(200)
        guard case .reset? = handle(.tick).first else {
            Issue.record("silence went unnoticed")
            return
        }
    }

    @Test(arguments: [0, 1, 2, 3]) mutating func startsOverWhenTheCoordinatorMovedOn(cause: Int) {
        _ = register()
        let newer = Ping(clusterEpoch: cluster, workerEpoch: WorkerEpoch(5), sequence: 1, controlSent: 0)
        let older = Ping(clusterEpoch: cluster, workerEpoch: WorkerEpoch(3), sequence: 1, controlSent: 0)
        #expect(handle(.ping(older, WorkerLoad())) == [])
        let past = Envelope(clusterEpoch: cluster, workerEpoch: WorkerEpoch(3), sequence: 9)
        #expect(handle(.message(past, .registerAgain)) == [])
        let actions =
            switch cause {
            case 0: handle(.ping(newer, WorkerLoad()))
            case 1: handle(.message(order(9), .registerAgain))
            case 2: handle(.message(order(1), .registered(ClusterEpoch(9), WorkerEpoch(1))))
            default: handle(.connectionLost)
            }
        guard case .reset? = actions.first else {
            Issue.record("\(actions)")
            return
        }
    }

    @Test mutating func refusalIsFinal() {
        _ = handle(.tick)
        #expect(handle(.message(order(1), .registrationRefused("no"))) == [.refused("no")])
        now = now + .seconds(9)
        #expect(handle(.tick) == [])
    }

    @Test mutating func lostTailStartsOver() {
        _ = register()
        for step in 0..<6 {
            now = now + .milliseconds(250)
            let ping = Ping(clusterEpoch: cluster, workerEpoch: worker, sequence: UInt64(step), controlSent: 1)
            let actions = handle(.ping(ping, WorkerLoad()))
            let isReset = actions.contains { if case .reset = $0 { true } else { false } }
            #expect(isReset == (step == 5))
        }
    }
}
