import HeapModule

/// Requests that wait for a worker, by rank: higher priority first, then earlier admission.
///
/// Removal from the middle only marks: the caller's `isWaiting` tells which entries still count, and entries that
/// do not are dropped when they reach the head or outnumber the others.
struct RequestQueue: Sendable {
    struct Entry: Comparable, Sendable {
        var priority: Priority
        var request: RequestID

        /// Served later.
        static func < (a: Entry, b: Entry) -> Bool {
            a.priority != b.priority ? a.priority < b.priority : a.request > b.request
        }
    }

    private var heap: Heap<Entry> = []
    /// Entries that count.
    private(set) var count = 0

    mutating func insert(_ request: RequestID, _ priority: Priority) {
        heap.insert(Entry(priority: priority, request: request))
        count += 1
    }

    /// An entry does not count any more; `isWaiting` must be false for it from now on.
    mutating func forget(isWaiting: (RequestID) -> Bool) {
        precondition(count > 0, "nothing is queued")
        count -= 1
        guard heap.count > 2 * count + 64 else { return }
        heap = Heap(heap.unordered.filter { isWaiting($0.request) })
    }

    /// The first in line.
    mutating func head(isWaiting: (RequestID) -> Bool) -> RequestID? {
        while let entry = heap.max {
            if isWaiting(entry.request) { return entry.request }
            _ = heap.popMax()
        }
        return nil
    }

    /// Takes what ``head(isWaiting:)`` returned.
    mutating func removeHead() {
        precondition(count > 0 && !heap.isEmpty, "nothing is queued")
        _ = heap.popMax()
        count -= 1
    }

    func checkInvariants() {
        precondition(count >= 0 && count <= heap.count, "\(count) of \(heap.count) entries count")
    }
}
