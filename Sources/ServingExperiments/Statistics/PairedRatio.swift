import Foundation

/// Two arms measured in turn (A B A B …): how many times the one is the other, and how far the noise leaves that open.
///
/// Each pair was measured one right after the other, so that what the machine does to both cancels. The interval is
/// Student's t on the logarithms of the pairs' ratios: honest for three pairs, where a bootstrap would not be.
public struct PairedRatio: Sendable, Hashable {
    public enum Verdict: String, Sendable, Hashable {
        /// The whole interval lies above 1.
        case higher
        case lower
        /// 1 lies inside: more runs would have to tell.
        case open
    }

    public var pairs: Int
    /// Geometric mean of the pairs' ratios.
    public var ratio: Double
    /// 95 % interval; `nil` with a single pair, which says nothing about the noise.
    public var interval: ClosedRange<Double>?

    /// - Parameter values: of both arms, measured in turn; all above 0.
    /// - Returns: `nil` without a pair, or if a value is not above 0.
    public init?(_ values: [(a: Double, b: Double)]) {
        guard !values.isEmpty, values.allSatisfy({ $0.a > 0 && $0.b > 0 }) else { return nil }
        let logarithms = values.map { log($0.a / $0.b) }
        pairs = values.count
        let mean = logarithms.reduce(0, +) / Double(pairs)
        ratio = exp(mean)
        guard pairs > 1 else { return }
        let variance = logarithms.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(pairs - 1)
        let half = StudentT.quantile975(degreesOfFreedom: pairs - 1) * (variance / Double(pairs)).squareRoot()
        interval = exp(mean - half)...exp(mean + half)
    }

    public var verdict: Verdict {
        guard let interval else { return .open }
        return interval.lowerBound > 1 ? .higher : interval.upperBound < 1 ? .lower : .open
    }
}

enum StudentT {
    /// Two-sided 95 %: from 1 degree of freedom on; beyond the table a slightly wide normal.
    private static let table: [Double] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
        2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ]

    static func quantile975(degreesOfFreedom: Int) -> Double {
        precondition(degreesOfFreedom >= 1, "\(degreesOfFreedom) degrees of freedom")
        return degreesOfFreedom <= table.count ? table[degreesOfFreedom - 1] : 2.04
    }
}
