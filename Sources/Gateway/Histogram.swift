import ClusterCore

/// Counts of observed durations by upper bound, as Prometheus has them.
public struct Histogram: Sendable, Hashable {
    /// Upper bounds in seconds, ascending; the last bucket, without a bound, is not among them.
    public let bounds: [Double]
    /// Observations in each bucket alone, the one without a bound last.
    public private(set) var counts: [UInt64]
    /// Seconds of all observations.
    public private(set) var sum: Double = 0

    public init(bounds: [Double]) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    /// The transfers of a worker.
    init(_ counters: TransferCounters) {
        bounds = TransferCounters.bounds.map { Double($0) / 1e6 }
        counts = counters.buckets
        sum = counters.time / .seconds(1)
    }

    /// Sizes of groups, in members instead of seconds.
    init(_ counters: GroupCounters) {
        bounds = GroupCounters.bounds.map { Double($0) }
        counts = counters.sizes
        sum = Double(counters.members)
    }

    public var count: UInt64 { counts.reduce(0, &+) }

    public mutating func observe(_ duration: Duration) {
        let seconds = max(0, duration / .seconds(1))
        counts[bounds.firstIndex { seconds <= $0 } ?? bounds.count] &+= 1
        sum += seconds
    }

    /// From a millisecond to forty minutes: the time of a phase, or of a request.
    static let phase = Histogram(bounds: [
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
    ])
    /// The way of a token through the gateway.
    static let delivery = Histogram(bounds: [
        0.00002, 0.00005, 0.0001, 0.00015, 0.0002, 0.0003, 0.0004, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1,
    ])
    /// The time between two tokens.
    static let token = Histogram(bounds: [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
    ])
}
