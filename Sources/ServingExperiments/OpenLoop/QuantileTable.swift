import Foundation

/// Lengths by their published quantiles; between two of them they grow geometrically.
public struct QuantileTable: Sendable, Hashable {
    /// Shares from 0 to 1 and lengths in tokens, both ascending.
    private let points: [(share: Double, length: Double)]

    init(p10: Double, p25: Double, p50: Double, p75: Double, p90: Double, p95: Double, p99: Double, most: Double) {
        points = [
            (0, max(1, p10 * p10 / p25)), (0.1, p10), (0.25, p25), (0.5, p50), (0.75, p75), (0.9, p90), (0.95, p95), (0.99, p99), (1, most),
        ]
    }

    /// The length that a share of all lengths is below.
    func length(at share: Double) -> Double {
        guard let upper = points.firstIndex(where: { $0.share >= share }), upper > 0 else { return points[0].length }
        let (low, high) = (points[upper - 1], points[upper])
        if share == high.share { return high.length }
        let place = (share - low.share) / (high.share - low.share)
        return low.length * pow(high.length / low.length, place)
    }

    public static func == (a: QuantileTable, b: QuantileTable) -> Bool {
        a.points.map(\.share) == b.points.map(\.share) && a.points.map(\.length) == b.points.map(\.length)
    }

    public func hash(into hasher: inout Hasher) { for point in points { hasher.combine(point.length) } }
}

/// What people really ask for, as published.
public enum PublishedTrace: String, Sendable, Hashable, CaseIterable {
    case azureCode = "azure-code"
    case azureConversation = "azure-conversation"
    case mooncakeConversation = "mooncake-conversation"

    public var inputs: QuantileTable {
        switch self {
        case .azureCode: QuantileTable(p10: 147, p25: 578, p50: 1469, p75: 2744, p90: 5188, p95: 7303, p99: 7436, most: 7437)
        case .azureConversation: QuantileTable(p10: 207, p25: 396, p50: 1020, p75: 1189, p90: 2734, p95: 4083, p99: 4142, most: 14050)
        case .mooncakeConversation:
            QuantileTable(p10: 964, p25: 2306, p50: 6909, p75: 15367, p90: 27367, p95: 39550, p99: 85400, most: 126_195)
        }
    }

    public var outputs: QuantileTable {
        switch self {
        case .azureCode: QuantileTable(p10: 7, p25: 9, p50: 13, p75: 24, p90: 55, p95: 90, p99: 251, most: 1899)
        case .azureConversation: QuantileTable(p10: 54, p25: 85, p50: 129, p75: 395, p90: 424, p95: 451, p99: 601, most: 1000)
        case .mooncakeConversation: QuantileTable(p10: 24, p25: 156, p50: 350, p75: 472, p90: 597, p95: 698, p99: 1119, most: 2000)
        }
    }

    /// Coefficient of variation of the gaps between arrivals.
    public var variation: Double {
        switch self {
        case .azureCode: 13.2
        case .azureConversation: 1.09
        case .mooncakeConversation: 3.03
        }
    }
}
