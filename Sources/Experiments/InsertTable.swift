import ClusterCore

/// What inserting and trimming cost, medians over rounds.
public struct InsertTable: Sendable {
    public struct Row: Encodable, Sendable {
        public var layout: String
        public var event: String
        public var longest: Int
        public var blocksCopied: Int
        public var bytesCopied: Int
        public var microseconds: Double
        public var leastMicroseconds: Double
        public var mostMicroseconds: Double
        /// One iteration of the same batch.
        public var iterationMicroseconds: Double
        /// The boundary as a share of it.
        public var iterationShare: Double
        public var rounds: Int

        enum CodingKeys: String, CodingKey {
            case layout, event, longest, microseconds, rounds
            case blocksCopied = "blocks_copied"
            case bytesCopied = "bytes_copied"
            case leastMicroseconds = "least_microseconds"
            case mostMicroseconds = "most_microseconds"
            case iterationMicroseconds = "iteration_microseconds"
            case iterationShare = "iteration_share"
        }
    }

    public private(set) var rows: [Row] = []

    public init() {}

    /// - Precondition: there is at least one iteration, and all measurements are of one event, layout and length.
    public mutating func add(_ measurements: [InsertBenchmark.Measurement], iterations: [Duration]) {
        let times = measurements.map { $0.time / .microseconds(1) }
        guard let first = measurements.first, let time = times.median, let least = times.min(), let most = times.max(),
            let iteration = iterations.map({ $0 / .microseconds(1) }).median
        else { preconditionFailure("\(measurements.count) measurements, \(iterations.count) iterations") }
        rows.append(Row(
            layout: first.layout == .dense ? "dense" : "block-tables", event: first.event.rawValue, longest: first.longest,
            blocksCopied: first.blocksCopied, bytesCopied: first.bytesCopied, microseconds: time, leastMicroseconds: least,
            mostMicroseconds: most, iterationMicroseconds: iteration, iterationShare: time / iteration,
            rounds: measurements.count))
    }
}
