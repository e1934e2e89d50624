import Foundation

/// Lengths in tokens, at least 1.
public enum LengthDistribution: Sendable, Hashable, Codable {
    /// U[least, greatest], both included.
    case uniform(least: Int, greatest: Int)
    case constant(Int)
    /// Rounded up, and cut at `cap`: the rest of the tail lies there.
    case exponential(mean: Double, cap: Int)
    /// `longShare` of the lengths from the second range, the others from the first.
    case shortAndLong(short: ClosedRange<Int>, long: ClosedRange<Int>, longShare: Double)

    func draw(_ random: inout SeededRandom) -> Int {
        switch self {
        case .uniform(let least, let greatest): return least + random.below(greatest - least + 1)
        case .constant(let length): return length
        case .exponential(let mean, let cap):
            let length = (-mean * log(1 - random.unit())).rounded(.up)
            return min(max(Int(min(length, Double(cap))), 1), cap)
        case .shortAndLong(let short, let long, let longShare):
            let range = random.unit() < longShare ? long : short
            return range.lowerBound + random.below(range.count)
        }
    }

    public var greatest: Int {
        switch self {
        case .uniform(_, let greatest): greatest
        case .constant(let length): length
        case .exponential(_, let cap): cap
        case .shortAndLong(let short, let long, _): max(short.upperBound, long.upperBound)
        }
    }

    /// Probability that a length is at most `length`.
    func cumulative(_ length: Int) -> Double {
        func share(of range: ClosedRange<Int>) -> Double {
            Double(min(max(length - range.lowerBound + 1, 0), range.count)) / Double(range.count)
        }
        switch self {
        case .uniform(let least, let greatest): return share(of: least...greatest)
        case .constant(let constant): return length >= constant ? 1 : 0
        case .exponential(let mean, let cap): return length >= cap ? 1 : length < 1 ? 0 : 1 - exp(-Double(length) / mean)
        case .shortAndLong(let short, let long, let longShare):
            return (1 - longShare) * share(of: short) + longShare * share(of: long)
        }
    }

    public var mean: Double { expectedMaximum(of: 1) }

    /// Mean of the longest of `count` lengths: what a batch that runs to completion pays for each.
    public func expectedMaximum(of count: Int) -> Double {
        // E[X] of a whole number ≥ 0 is the sum of P(X > k) over k ≥ 0.
        (0..<greatest).reduce(0) { $0 + 1 - pow(cumulative($1), Double(count)) }
    }

    /// As the tables name it.
    public var label: String {
        switch self {
        case .uniform(let least, let greatest): "U[\(least), \(greatest)]"
        case .constant(let length): "\(length)"
        case .exponential(let mean, let cap): "exponential, mean \(mean.plain(0)), at most \(cap)"
        case .shortAndLong(let short, let long, let longShare):
            "\(((1 - longShare) * 100).plain(0)) % U[\(short.lowerBound), \(short.upperBound)], "
                + "\((longShare * 100).plain(0)) % U[\(long.lowerBound), \(long.upperBound)]"
        }
    }
}
