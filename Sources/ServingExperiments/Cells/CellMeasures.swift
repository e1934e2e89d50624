/// What a cell measured. Times in seconds, memory in bytes; what a build cannot tell is absent.
public struct CellMeasures: Sendable, Hashable, Codable {
    public struct Latency: Sendable, Hashable, Codable {
        public var median: Double
        public var p99: Double

        init?(_ values: [Double]) {
            guard let median = values.quantile(0.5), let p99 = values.quantile(0.99) else { return nil }
            (self.median, self.p99) = (median, p99)
        }
    }

    /// First submission to last token.
    public var seconds: Double
    /// Ramp and drain: before the batch was full for the first time, and after nothing waited any more.
    public var rampSeconds: Double
    public var drainSeconds: Double
    /// All queries over all of the time.
    public var queriesPerMinute: Double
    /// Over the steady window; absent if there was none.
    public var steadyOutputRate: Double?
    /// Output tokens of the steady window over the mean length of an answer.
    public var steadyQueriesPerMinute: Double?
    /// From submission, the queue included.
    public var timeToFirstToken: Latency?
    /// From the start of the query's prefill.
    public var serviceTime: Latency?
    public var interToken: Latency?
    public var urgentTimeToFirstToken: Latency?
    /// Submission to last token of the queries that are not urgent.
    public var ordinaryDuration: Latency?
    /// Summed transfer time after the first token over summed time to the first token without the queue.
    public var exposedTransferShare: Double
    public var retriedCount: Int
    public var exactCount: Int
    public var queryCount: Int
    /// When each query ended, in order.
    public var completions: [Double]

    public init?(_ records: [QueryRecord], batch: Int) {
        let ended = records.compactMap(\.ended).sorted()
        guard ended.count == records.count, let last = ended.last else { return nil }
        seconds = last
        queriesPerMinute = Double(records.count) / last * 60
        completions = ended
        queryCount = records.count
        exactCount = records.count(where: \.isExact)
        retriedCount = records.count { $0.attempts > 1 }

        let firsts = records.compactMap(\.firstToken).sorted()
        let windowStart = firsts[min(batch, firsts.count) - 1], windowEnd = firsts[firsts.count - 1]
        (rampSeconds, drainSeconds) = (windowStart, last - windowEnd)
        let times = records.flatMap(\.tokenTimes)
        // With fewer than two batches there is no steady state to speak of.
        if records.count >= 2 * batch, windowEnd > windowStart {
            let output = times.count { $0 > windowStart && $0 <= windowEnd }
            let rate = Double(output) / (windowEnd - windowStart)
            steadyOutputRate = rate
            steadyQueriesPerMinute = rate / (Double(times.count) / Double(records.count)) * 60
        }

        timeToFirstToken = Latency(records.compactMap(\.timeToFirstToken))
        serviceTime = Latency(records.compactMap(\.serviceTime))
        interToken = Latency(records.flatMap(\.gaps))
        let urgent = records.filter(\.isUrgent), ordinary = records.filter { !$0.isUrgent }
        urgentTimeToFirstToken = Latency(urgent.compactMap(\.timeToFirstToken))
        ordinaryDuration = Latency(ordinary.compactMap { record in record.ended.map { $0 - record.submitted } })
        let service = records.compactMap(\.serviceTime).reduce(0, +)
        exposedTransferShare = service > 0 ? records.reduce(0) { $0 + $1.exposedTransfer } / service : 0
    }

    public var isExact: Bool { exactCount == queryCount }
}
