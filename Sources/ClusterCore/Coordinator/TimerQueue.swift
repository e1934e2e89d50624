import HeapModule

/// Times at which a request wants attention. Timers are never removed, only outlived: the caller decides whether one
/// still means anything, and thins them out when most do not.
struct TimerQueue: Sendable {
    struct Timer: Comparable, Sendable {
        enum Kind: Int, Sendable {
            case deadline
            case retry
        }

        var due: Instant
        var request: RequestID
        var kind: Kind

        static func < (a: Timer, b: Timer) -> Bool {
            (a.due, a.request.rawValue, a.kind.rawValue) < (b.due, b.request.rawValue, b.kind.rawValue)
        }
    }

    private var heap: Heap<Timer> = []

    var nextDue: Instant? { heap.min?.due }
    var count: Int { heap.count }

    mutating func insert(_ timer: Timer) { heap.insert(timer) }

    mutating func popDue(at now: Instant) -> Timer? {
        guard let first = heap.min, first.due <= now else { return nil }
        return heap.popMin()
    }

    /// Drops timers that mean nothing once there are many more than `liveRequests`.
    mutating func thinOut(liveRequests: Int, isLive: (Timer) -> Bool) {
        guard heap.count > 4 * liveRequests + 256 else { return }
        heap = Heap(heap.unordered.filter(isLive))
    }
}
