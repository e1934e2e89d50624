import Foundation

/// What became of one request of a benchmark. Times in seconds.
public struct ServeMeasurement: Codable, Sendable, Hashable {
    /// From the start of the benchmark.
    public var sentAt: Double
    public var inputTokens: Int
    public var outputTokens: Int
    public var timeToFirstToken: Double
    /// Between two pieces of the answer, each a token unless the server sends several at once.
    public var interTokenLatencies: [Double]
    public var latency: Double
    /// Why it failed; `nil`: it did not.
    public var failure: String?

    /// Excluding the first token; `nil` for answers of a single one.
    public var timePerOutputToken: Double? {
        outputTokens > 1 ? (latency - timeToFirstToken) / Double(outputTokens - 1) : nil
    }
}

/// What a request has to keep to count as good. In milliseconds.
public struct ServeGoal: Sendable, Hashable {
    public var timeToFirstToken: Double?
    public var timePerOutputToken: Double?
    public var latency: Double?

    public init(timeToFirstToken: Double? = nil, timePerOutputToken: Double? = nil, latency: Double? = nil) {
        self.timeToFirstToken = timeToFirstToken
        self.timePerOutputToken = timePerOutputToken
        self.latency = latency
    }

    func isMet(by measurement: ServeMeasurement) -> Bool {
        func isWithin(_ seconds: Double?, _ limit: Double?) -> Bool {
            guard let limit, let seconds else { return true }
            return seconds * 1000 <= limit
        }
        return isWithin(measurement.timeToFirstToken, timeToFirstToken) && isWithin(measurement.timePerOutputToken, timePerOutputToken)
            && isWithin(measurement.latency, latency)
    }
}

/// The middle, the mean and the far end of one kind of time, in milliseconds.
public struct ServeTimes: Codable, Sendable, Hashable {
    public var mean: Double
    public var median: Double
    public var deviation: Double
    /// By percentile, as asked for: `99` or `99.9`.
    public var percentiles: [String: Double]

    /// - Parameter seconds: of all requests, or of all tokens.
    init(_ seconds: [Double], percentiles: [Double]) {
        let values = seconds.map { $0 * 1000 }
        let average = values.mean ?? 0
        mean = average
        median = values.median ?? 0
        let squares = values.reduce(0) { $0 + ($1 - average) * ($1 - average) }
        deviation = values.isEmpty ? 0 : (squares / Double(values.count)).squareRoot()
        self.percentiles = Dictionary(uniqueKeysWithValues: Set(percentiles).map { (Self.name($0), values.quantile($0 / 100) ?? 0) })
    }

    static func name(_ percentile: Double) -> String {
        Int(exactly: percentile).map(String.init) ?? "\(percentile)"
    }
}
