import Synchronization

/// How many requests were answered, by HTTP status.
final class ReplyCounts: Sendable {
    private let counts = Mutex<[Int: UInt64]>([:])

    /// The lowest status first.
    var all: [(status: Int, count: UInt64)] { counts.withLock { $0.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } } }

    func note(_ status: Int) { counts.withLock { $0[status, default: 0] &+= 1 } }
}
