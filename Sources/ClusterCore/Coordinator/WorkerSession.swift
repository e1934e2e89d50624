/// A worker's side of its registration.
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

    public init(_ registration: Registration, timings: Timings = Timings()) { preconditionFailure("to be written") }

    public mutating func handle(_ event: Event, at now: Instant) -> [Action] { preconditionFailure("to be written") }

    /// What the role reports, ready to be sent in order; nothing unless registered.
    public mutating func envelopes(for reports: [WorkerMessage]) -> [Action] { preconditionFailure("to be written") }

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
}
