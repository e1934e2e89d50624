/// What repeated measurements of one thing say: how many, the middle, and the range.
public struct Spread: Codable, Sendable, Hashable {
    public var count: Int
    public var median: Double
    public var least: Double
    public var greatest: Double

    /// `nil` if there is no value.
    public init?(_ values: [Double]) {
        guard let median = values.median, let least = values.min(), let greatest = values.max() else { return nil }
        (count, self.median, self.least, self.greatest) = (values.count, median, least, greatest)
    }
}

extension [Double] {
    var mean: Double? { isEmpty ? nil : reduce(0, +) / Double(count) }

    var median: Double? { quantile(0.5) }

    /// Linear between the closest ranks; `nil` if there are no values.
    /// - Parameter share: 0 … 1.
    func quantile(_ share: Double) -> Double? {
        precondition((0...1).contains(share), "quantile \(share)")
        guard !isEmpty else { return nil }
        let ordered = sorted(), place = share * Double(count - 1)
        let below = Int(place), above = Swift.min(below + 1, count - 1)
        return ordered[below] + (ordered[above] - ordered[below]) * (place - Double(below))
    }
}
