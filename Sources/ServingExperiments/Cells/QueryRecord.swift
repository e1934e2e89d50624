/// One query as its client saw it; times in seconds since the cell's first submission.
public struct QueryRecord: Sendable, Hashable {
    public var isUrgent: Bool
    public var promptCount: Int
    public var submitted: Double
    /// When each token arrived; tokens that came together share a time.
    public var tokenTimes: [Double]
    /// Submitted until its prefill started, by the coordinator's clock.
    public var queued: Double
    /// First token until the KV was whole where it is decoded, by the coordinator's clock; 0 when the transfer was over
    /// by then.
    public var exposedTransfer: Double
    public var attempts: Int
    /// Whether the answer has the bits of the same query alone.
    public var isExact: Bool

    public init(
        isUrgent: Bool, promptCount: Int, submitted: Double, tokenTimes: [Double], queued: Double, exposedTransfer: Double,
        attempts: Int, isExact: Bool
    ) {
        self.isUrgent = isUrgent
        self.promptCount = promptCount
        self.submitted = submitted
        self.tokenTimes = tokenTimes
        self.queued = queued
        self.exposedTransfer = exposedTransfer
        self.attempts = attempts
        self.isExact = isExact
    }

    var firstToken: Double? { tokenTimes.first }
    var ended: Double? { tokenTimes.last }
    var timeToFirstToken: Double? { firstToken.map { $0 - submitted } }
    /// Without the time in the queue, which in a closed loop is the loop's own.
    var serviceTime: Double? { timeToFirstToken.map { max($0 - queued, 0) } }
    var gaps: [Double] { zip(tokenTimes.dropFirst(), tokenTimes).map { $0 - $1 } }
}
