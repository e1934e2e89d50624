/// What a worker had of cores where others are at home, and how long it waited for one, since it started.
public struct CoreLeaseCounters: Sendable, Hashable {
    /// Cores borrowed, counted each time.
    public var borrowed: UInt64
    /// Time on borrowed cores, summed over cores.
    public var borrowedNanoseconds: UInt64
    /// Times that the worker had work and no core.
    public var waits: UInt64
    /// How long these were, in all.
    public var waitNanoseconds: UInt64
    /// Waits given up, because whoever had the core stood still.
    public var overdueWaits: UInt64

    public init(
        borrowed: UInt64 = 0, borrowedNanoseconds: UInt64 = 0, waits: UInt64 = 0, waitNanoseconds: UInt64 = 0,
        overdueWaits: UInt64 = 0
    ) {
        self.borrowed = borrowed
        self.borrowedNanoseconds = borrowedNanoseconds
        self.waits = waits
        self.waitNanoseconds = waitNanoseconds
        self.overdueWaits = overdueWaits
    }
}
