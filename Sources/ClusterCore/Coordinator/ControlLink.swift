/// One end of a control link within one registration: numbers what is sent, checks what arrives.
///
/// The order of a link is never repaired. A repeated message is dropped; a hole, even one at the very end that only
/// the heartbeats tell of, breaks the link, and both sides start over with a new registration.
public struct ControlLink: Sendable, Hashable {
    public let clusterEpoch: ClusterEpoch
    public let workerEpoch: WorkerEpoch
    public private(set) var sent: UInt64 = 0
    public private(set) var received: UInt64 = 0
    private var awaited: Awaited?

    private struct Awaited: Sendable, Hashable {
        var count: UInt64
        var since: Instant
    }

    public enum Arrival: Sendable, Hashable {
        /// The one that was expected: act on it.
        case next
        case duplicate
        /// Messages before this one are lost.
        case gap(expected: UInt64)
        /// Of another registration or another life of the coordinator.
        case stale
    }

    public init(clusterEpoch: ClusterEpoch, workerEpoch: WorkerEpoch) {
        self.clusterEpoch = clusterEpoch
        self.workerEpoch = workerEpoch
    }

    /// The envelope of the next message to send.
    public mutating func stamp() -> Envelope {
        sent += 1
        return Envelope(clusterEpoch: clusterEpoch, workerEpoch: workerEpoch, sequence: sent)
    }

    public func belongs(_ envelope: Envelope) -> Bool {
        envelope.clusterEpoch == clusterEpoch && envelope.workerEpoch == workerEpoch
    }

    public mutating func receive(_ envelope: Envelope) -> Arrival {
        guard belongs(envelope) else { return .stale }
        guard envelope.sequence > received else { return .duplicate }
        guard envelope.sequence == received + 1 else { return .gap(expected: received + 1) }
        received += 1
        if let count = awaited?.count, received >= count { awaited = nil }
        return .next
    }

    /// A heartbeat says that the peer sent `count` messages so far.
    public mutating func note(peerSent count: UInt64, at now: Instant) {
        if awaited == nil, count > received { awaited = Awaited(count: count, since: now) }
    }

    /// Whether a message that the peer sent has been missing for longer than `patience`.
    public func hasLostTail(at now: Instant, patience: Duration) -> Bool {
        guard let awaited else { return false }
        return now - awaited.since > patience
    }

    public func checkInvariants() {
        precondition(awaited.map { $0.count > received } ?? true, "awaits what has arrived: \(self)")
    }
}
