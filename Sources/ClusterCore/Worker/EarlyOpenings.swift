import OrderedCollections

/// Openings of transfers that came before their grant: the two take different ways, and either may be first.
///
/// Answering them as soon as the grant is there saves the pause until the sender asks again. Bounded, because whoever
/// can connect could ask for anything; what is forgotten is asked for again.
struct EarlyOpenings: Sendable {
    private struct Opening: Sendable {
        var peer: PeerID
        var open: KVOpen
    }

    private let capacity: Int
    /// Oldest first.
    private var openings: OrderedDictionary<AttemptID, Opening> = [:]

    init(capacity: Int) {
        precondition(capacity > 0, "room for \(capacity) openings")
        self.capacity = capacity
    }

    mutating func insert(_ open: KVOpen, from peer: PeerID) {
        if openings.count >= capacity, openings[open.attempt] == nil { openings.removeFirst() }
        openings[open.attempt] = Opening(peer: peer, open: open)
    }

    mutating func remove(_ attempt: AttemptID) -> (peer: PeerID, open: KVOpen)? {
        openings.removeValue(forKey: attempt).map { ($0.peer, $0.open) }
    }
}
