/// A point on a monotonic clock that the caller reads; the core has no clock of its own.
public struct Instant: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Nanoseconds since an origin that means nothing by itself (boot time, or the start of a simulation).
    public let nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Saturates at the end of time instead of trapping: deadlines arrive from outside.
    public static func + (instant: Instant, duration: Duration) -> Instant {
        let (seconds, attoseconds) = duration.components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds > 0 ? .distantFuture : Instant(nanoseconds: .min) }
        let (sum, carry) = instant.nanoseconds.addingReportingOverflow(scaled)
        let (total, carry2) = sum.addingReportingOverflow(attoseconds / 1_000_000_000)
        guard !carry, !carry2 else { return scaled > 0 ? .distantFuture : Instant(nanoseconds: .min) }
        return Instant(nanoseconds: total)
    }

    public static func - (a: Instant, b: Instant) -> Duration {
        .nanoseconds(a.nanoseconds) - .nanoseconds(b.nanoseconds)
    }

    public static func - (instant: Instant, duration: Duration) -> Instant { instant + (.zero - duration) }

    public static let distantFuture = Instant(nanoseconds: .max)

    public var description: String { "\(Double(nanoseconds) / 1e9) s" }
}

extension Duration {
    /// Saturates.
    var nanosecondCount: Int {
        let (seconds, attoseconds) = components
        let (scaled, overflow) = Int(clamping: seconds).multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max : scaled + Int(attoseconds / 1_000_000_000)
    }
}
