/// A median and its 95 % confidence interval, from the order of the values alone: no distribution is supposed.
struct MedianInterval {
    let median: Double
    let low: Double
    let high: Double

    /// With less than six values no interval of theirs is that certain: it is then from the least to the greatest.
    /// - Returns: `nil` without values.
    init?(_ values: [Double]) {
        guard let median = values.median else { return nil }
        let ordered = values.sorted(), margin = Int((1.96 * Double(values.count).squareRoot() / 2).rounded(.up))
        self.median = median
        low = ordered[max(0, values.count / 2 - margin)]
        high = ordered[min(values.count - 1, values.count / 2 + margin)]
    }
}
