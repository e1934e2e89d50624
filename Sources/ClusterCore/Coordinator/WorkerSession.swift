/// A worker's side of its registration: joins, keeps the links honest, and starts over whenever anything is in doubt.
///
/// The shell reports what arrives and carries the actions out in order. It starts with a ``Event/tick``. What the role
/// reports goes through ``envelopes(for:)``; what the coordinator says to the role comes as ``Action/deliver(_:)``.
public struct WorkerSession: Sendable {
    public enum Event: Sendable {
        /// From the coordinator's control link.
        case message(Envelope, CoordinatorMessage)
        /// With the figures for the answer.
        case ping(Ping, WorkerLoad)
        /// The control connection broke.
        case connectionLost
        /// The role that ``Action/reset(_:)`` ended is gone: engine idle, no block read by the transport.
        case released
        case tick
    }

    public enum Action: Sendable, Hashable {
        case send(WorkerMessage, Envelope)
        case pong(Pong)
        /// Make a new role for these epochs.
        case becameRegistered(ClusterEpoch, WorkerEpoch)
        /// For the role.
        case deliver(CoordinatorMessage)
        /// Drop the role with everything it holds, then report ``Event/released``. The text says why.
        case reset(String)
        /// The coordinator will never have this worker; the process should end with this text.
        case refused(String)
        /// Handle ``Event/tick`` then; replaces the time asked for before.
        case wakeAt(Instant)
    }

    public struct Timings: Sendable, Hashable {
        /// Between two `register` messages.
        public var registerInterval: Duration
        /// Silence after which the coordinator is given up.
        public var lostAfter: Duration
        /// Time that a control message may be under way after a heartbeat told of it.
        public var linkPatience: Duration

        public init(
            registerInterval: Duration = .milliseconds(250), lostAfter: Duration = .seconds(3),
            linkPatience: Duration = .seconds(1)
        ) {
            self.registerInterval = registerInterval
            self.lostAfter = lostAfter
            self.linkPatience = linkPatience
        }
    }

    private enum State: Sendable {
        case registering(next: Instant?)
        case registered(ControlLink, lastHeard: Instant)
        /// Until the shell has dropped the role.
        case releasing
        case refused
    }

    public let registration: Registration
    private let timings: Timings
    private var state = State.registering(next: nil)
    /// Which registration of this process is asked for or held, from 1.
    private var ordinal: UInt64 = 1
    private var announcedWakeUp: Instant?

    public init(_ registration: Registration, timings: Timings = Timings()) {
        self.registration = registration
        self.timings = timings
    }

    public var isRegistered: Bool {
        if case .registered = state { true } else { false }
    }

    public mutating func handle(_ event: Event, at now: Instant) -> [Action] {
        var actions: [Action] = []
        switch event {
        case .message(let envelope, let message): receive(message, envelope, at: now, into: &actions)
        case .ping(let ping, let load): receive(ping, load, at: now, into: &actions)
        case .connectionLost: startOver("the connection to the coordinator broke", at: now, into: &actions)
        case .released: if case .releasing = state { state = .registering(next: nil) }
        case .tick: break
        }
        tick(at: now, into: &actions)
        return actions
    }

    /// What the role reports, ready to be sent in order; nothing unless registered.
    public mutating func envelopes(for reports: [WorkerMessage]) -> [Action] {
        guard case .registered(var link, let lastHeard) = state else { return [] }
        let actions = reports.map { Action.send($0, link.stamp()) }
        state = .registered(link, lastHeard: lastHeard)
        return actions
    }

    public func checkInvariants() {
        if case .registered(let link, _) = state { link.checkInvariants() }
    }

    // MARK: Events

    private mutating func receive(
        _ message: CoordinatorMessage, _ envelope: Envelope, at now: Instant, into actions: inout [Action]
    ) {
        switch message {
        case .registered(let cluster, let worker):
            guard envelope.sequence == ordinal else { return }
            receiveWelcome(ControlLink(clusterEpoch: cluster, workerEpoch: worker), at: now, into: &actions)
        case .registrationRefused(let reason):
            guard case .registering = state, envelope.sequence == ordinal else { return }
            state = .refused
            actions.append(.refused(reason))
        case .registerAgain:
            guard case .registered(let link, _) = state, link.belongs(envelope) else { return }
            startOver("the coordinator does not know this registration", at: now, into: &actions)
        case .prefill, .retarget, .grant, .preempt, .resume, .cancel, .releaseGroup:
            receiveOrder(message, envelope, at: now, into: &actions)
        }
    }

    private mutating func receiveWelcome(_ link: ControlLink, at now: Instant, into actions: inout [Action]) {
        switch state {
        case .registering:
            state = .registered(link, lastHeard: now)
            actions.append(.becameRegistered(link.clusterEpoch, link.workerEpoch))
        case .registered(let current, _):
            // The same answer to a repeated question; or from another life of the coordinator, to the same question.
            if current.clusterEpoch != link.clusterEpoch || current.workerEpoch != link.workerEpoch {
                startOver("the coordinator changed", at: now, into: &actions)
            }
        case .releasing, .refused: break
        }
    }

    private mutating func receiveOrder(
        _ message: CoordinatorMessage, _ envelope: Envelope, at now: Instant, into actions: inout [Action]
    ) {
        guard case .registered(var link, let lastHeard) = state else { return }
        let arrival = link.receive(envelope)
        state = .registered(link, lastHeard: lastHeard)
        switch arrival {
        case .next: actions.append(.deliver(message))
        case .duplicate, .stale: break
        case .gap(let expected): startOver("control message \(expected) was lost", at: now, into: &actions)
        }
    }

    private mutating func receive(_ ping: Ping, _ load: WorkerLoad, at now: Instant, into actions: inout [Action]) {
        // Who knows another cluster epoch than ours and pings all the same is a coordinator of the past.
        guard case .registered(var link, _) = state, ping.clusterEpoch == link.clusterEpoch else { return }
        guard ping.workerEpoch <= link.workerEpoch else {
            startOver("the coordinator knows a newer registration", at: now, into: &actions)
            return
        }
        guard ping.workerEpoch == link.workerEpoch else { return }
        link.note(peerSent: ping.controlSent, at: now)
        state = .registered(link, lastHeard: now)
        actions.append(
            .pong(Pong(
                worker: registration.worker, clusterEpoch: link.clusterEpoch, workerEpoch: link.workerEpoch,
                sequence: ping.sequence, controlSent: link.sent, load: load)))
    }

    private mutating func startOver(_ reason: String, at now: Instant, into actions: inout [Action]) {
        guard case .registered = state else { return }
        state = .releasing
        ordinal += 1
        actions.append(.reset(reason))
    }

    // MARK: Time

    private mutating func tick(at now: Instant, into actions: inout [Action]) {
        switch state {
        case .registering(let next):
            if let next, now < next { break }
            actions.append(.send(.register(registration), .registration(ordinal: ordinal)))
            state = .registering(next: now + timings.registerInterval)
        case .registered(let link, let lastHeard):
            if now - lastHeard >= timings.lostAfter {
                startOver("no ping for \(now - lastHeard)", at: now, into: &actions)
            } else if link.hasLostTail(at: now, patience: timings.linkPatience) {
                startOver("control messages were lost", at: now, into: &actions)
            }
        case .releasing, .refused: break
        }
        announceWakeUp(into: &actions)
    }

    private mutating func announceWakeUp(into actions: inout [Action]) {
        let next: Instant? =
            switch state {
            case .registering(let next): next
            case .registered(_, let lastHeard): lastHeard + timings.lostAfter
            case .releasing, .refused: nil
            }
        guard let next, next != announcedWakeUp else { return }
        announcedWakeUp = next
        actions.append(.wakeAt(next))
    }
}
