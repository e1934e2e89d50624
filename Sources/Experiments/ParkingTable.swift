import ClusterCore

/// What parking costs beside recomputing: medians over rounds, and the ratio of neighbours with its interval.
public struct ParkingTable: Sendable {
    public struct Row: Encodable, Sendable {
        public var tier: String
        public var tokens: Int
        public var bytes: Int
        public var parkMicroseconds: Double
        public var resumeMicroseconds: Double
        public var prefillMicroseconds: Double
        /// Parking and resuming over prefill: median of the rounds, and its 95 % confidence interval.
        public var ofRecomputing: Double
        public var ofRecomputingLow: Double
        public var ofRecomputingHigh: Double
        public var rounds: Int

        enum CodingKeys: String, CodingKey {
            case tier, tokens, bytes, rounds
            case parkMicroseconds = "park_microseconds"
            case resumeMicroseconds = "resume_microseconds"
            case prefillMicroseconds = "prefill_microseconds"
            case ofRecomputing = "of_recomputing"
            case ofRecomputingLow = "of_recomputing_low"
            case ofRecomputingHigh = "of_recomputing_high"
        }
    }

    public private(set) var rows: [Row] = []

    public init() {}

    /// A row for each tier.
    /// - Precondition: there is a measurement, and all are of one length and of the same tiers.
    public mutating func add(_ measurements: [ParkingBenchmark.Measurement]) {
        for tier in ParkingLot.Tier.allCases where measurements.first?.costs[tier] != nil {
            let costs = measurements.compactMap { $0.costs[tier] }
            let prefill = measurements.map { $0.prefill / .microseconds(1) }
            let park = costs.map { $0.park / .microseconds(1) }, resume = costs.map { $0.resume / .microseconds(1) }
            let ratios = zip(zip(park, resume), prefill).map { ($0.0 + $0.1) / $1 }
            guard let first = measurements.first, costs.count == measurements.count, let ofRecomputing = MedianInterval(ratios),
                let parkTime = park.median, let resumeTime = resume.median, let prefillTime = prefill.median
            else { preconditionFailure("\(costs.count) of \(measurements.count) measurements of \(tier)") }
            rows.append(Row(
                tier: "\(tier)", tokens: first.tokens, bytes: first.byteCount, parkMicroseconds: parkTime,
                resumeMicroseconds: resumeTime, prefillMicroseconds: prefillTime, ofRecomputing: ofRecomputing.median,
                ofRecomputingLow: ofRecomputing.low, ofRecomputingHigh: ofRecomputing.high, rounds: costs.count))
        }
    }

    /// From so many tokens on every measured length is parked and resumed for less than it is computed, the whole interval
    /// of it; `nil` if not even the longest is.
    public func leastWinningLength(_ tier: ParkingLot.Tier) -> Int? {
        rows.filter { $0.tier == "\(tier)" }.sorted { $0.tokens > $1.tokens }.prefix { $0.ofRecomputingHigh < 1 }.last?.tokens
    }
}
