/// Patience of both ends of a KV transfer.
public struct TransferTimings: Sendable, Hashable {
    /// First and longest pause between two `open` messages while credit is awaited.
    public var openInterval: Duration
    public var openIntervalLimit: Duration
    /// First and longest pause between two `commit` messages.
    public var commitInterval: Duration
    public var commitIntervalLimit: Duration
    /// A sender with nothing to send and no news repeats its `open` after this time, so that neither side gives up.
    public var keepAlive: Duration
    /// A receiver repeats its credit after this time without progress, then after twice as long, up to `keepAlive`.
    public var creditInterval: Duration
    /// Time without progress after which either side gives the transfer up.
    public var deadline: Duration

    public init(
        openInterval: Duration = .milliseconds(20), openIntervalLimit: Duration = .milliseconds(200),
        commitInterval: Duration = .milliseconds(50), commitIntervalLimit: Duration = .milliseconds(400),
        keepAlive: Duration = .seconds(1), creditInterval: Duration = .milliseconds(100),
        deadline: Duration = .seconds(3)
    ) {
        self.openInterval = openInterval
        self.openIntervalLimit = openIntervalLimit
        self.commitInterval = commitInterval
        self.commitIntervalLimit = commitIntervalLimit
        self.keepAlive = keepAlive
        self.creditInterval = creditInterval
        self.deadline = deadline
    }
}
