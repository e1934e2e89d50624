import DequeModule

/// A bounded memory of attempts that are over, so that whoever has not heard of it gets an answer.
struct EndedAttempts: Sendable {
    private struct Ending: Sendable {
        var ordinal: UInt32
        var wasWhole: Bool
    }

    let capacity: Int
    private var endings: [RequestID: Ending] = [:]
    /// The requests in `endings`, oldest first.
    private var order: Deque<RequestID> = []

    init(capacity: Int) {
        precondition(capacity > 0, "a memory of \(capacity) attempts")
        self.capacity = capacity
    }

    /// `wasWhole`: the KV had arrived whole, so its sender may be told so whatever came later.
    mutating func insert(_ attempt: AttemptID, wasWhole: Bool) {
        if let known = endings[attempt.request] {
            guard known.ordinal < attempt.ordinal else { return }
        } else {
            if order.count == capacity, let oldest = order.popFirst() { endings[oldest] = nil }
            order.append(attempt.request)
        }
        endings[attempt.request] = Ending(ordinal: attempt.ordinal, wasWhole: wasWhole)
    }

    enum Answer: Sendable, Hashable {
        case complete
        case over
        case unknown
    }

    func answer(to attempt: AttemptID) -> Answer {
        guard let ending = endings[attempt.request], attempt.ordinal <= ending.ordinal else { return .unknown }
        return attempt.ordinal == ending.ordinal && ending.wasWhole ? .complete : .over
    }

    func checkInvariants() {
        precondition(
            order.count == endings.count && order.count <= capacity, "\(order.count), \(endings.count) endings")
        precondition(order.allSatisfy { endings[$0] != nil }, "an ending is missing")
    }
}
