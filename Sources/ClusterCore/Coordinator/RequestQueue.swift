import HeapModule

/// Requests that wait for a worker, by rank.
///
/// Removal from the middle only marks: the caller's `isWaiting` tells which entries still count, and entries that
/// do not are dropped when they reach the head or outnumber the others.
struct RequestQueue: Sendable {
    private var heap: Heap<Rank> = []
    /// Entries that count.
    private(set) var count = 0

    mutating func insert(_ rank: Rank) {
        heap.insert(rank)
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
        while let entry = heap.min {
            if isWaiting(entry.request) { return entry.request }
            _ = heap.popMin()
        }
        return nil
    }

    /// Takes what ``head(isWaiting:)`` returned.
    mutating func removeHead() {
        precondition(count > 0 && !heap.isEmpty, "nothing is queued")
        _ = heap.popMin()
        count -= 1
    }

    func checkInvariants() {
        precondition(count >= 0 && count <= heap.count, "\(count) of \(heap.count) entries count")
    }
}
