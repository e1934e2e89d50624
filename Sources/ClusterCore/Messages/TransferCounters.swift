/// What KV has come to a worker from others since it registered.
public struct TransferCounters: Sendable, Hashable {
    /// Upper bounds of ``buckets`` in microseconds, ascending; the last bucket has none.
    public static let bounds: [UInt64] = [
        500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
    ]

    /// Of payloads that were new and sound.
    public var bytes: UInt64
    /// From the moment when a granted transfer was opened until its KV was whole, summed over those that came to that.
    public var time: Duration
    /// These transfers by how long each took, in buckets that do not include one another.
    public private(set) var buckets: [UInt64]

    /// - Parameter buckets: further ones are 0.
    /// - Precondition: there are not more of them than ``bounds``, and one.
    public init(bytes: UInt64 = 0, time: Duration = .zero, buckets: [UInt64] = []) {
        let count = Self.bounds.count + 1
        precondition(buckets.count <= count, "\(buckets.count) buckets")
        self.bytes = bytes
        self.time = time
        self.buckets = buckets + Array(repeating: 0, count: count - buckets.count)
    }

    mutating func noteWhole(after duration: Duration) {
        let bucket = Self.bounds.firstIndex { duration <= .microseconds(Int64($0)) }
        buckets[bucket ?? Self.bounds.count] += 1
        time += duration
    }
}
