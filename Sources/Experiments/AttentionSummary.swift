/// What a grid of measurements comes to: the worst of its cells.
public struct AttentionSummary: Sendable {
    /// Bytes of a prefix from which on the shared kernel is held against its bound.
    public static let boundedBytes = 64_000_000

    /// The least share of the bound over cells of at least ``boundedBytes``; `nil` without such cells.
    public let leastBoundShare: AttentionBenchmark.Row?
    /// Where ``SharedAttention/auto`` is slowest beside the plain kernel.
    public let leastAutomaticSpeedup: AttentionBenchmark.Row?
    /// Share of the bound, and speed of ``SharedAttention/auto`` beside the plain kernel, that are asked for.
    public static let leastShare = 0.7, leastSpeed = 0.98
    private let boundedCount: Int, missedShares: Int
    private let count: Int, missedSpeeds: Int

    public init(_ rows: [AttentionBenchmark.Row]) {
        let bounded = rows.filter { $0.prefixBytes >= Self.boundedBytes }
        leastBoundShare = bounded.min { $0.boundShare.median < $1.boundShare.median }
        leastAutomaticSpeedup = rows.min { $0.automaticSpeedup.median < $1.automaticSpeedup.median }
        (boundedCount, count) = (bounded.count, rows.count)
        missedShares = bounded.count { $0.boundShare.median < Self.leastShare }
        missedSpeeds = rows.count { $0.automaticSpeedup.median < Self.leastSpeed }
    }

    /// One sentence for each, with the cell and its confidence interval.
    public var lines: [String] {
        let bound = leastBoundShare.map {
            "Least share of the bound over \(boundedCount) cells whose prefix has 64 MB or more: \(text($0.boundShare)), \(cell($0)); below \(Self.leastShare): \(missedShares)."
        } ?? "No prefix has 64 MB or more."
        let automatic = leastAutomaticSpeedup.map {
            "Least speed of auto beside the plain kernel over \(count) cells: \(text($0.automaticSpeedup)), \(cell($0)); below \(Self.leastSpeed): \(missedSpeeds)."
        }
        return [bound] + (automatic.map { [$0] } ?? [])
    }

    private func cell(_ row: AttentionBenchmark.Row) -> String {
        "\(row.shape), prefix \(row.prefix), batch \(row.batch), threads \(row.threads)"
    }

    private func text(_ ratio: AttentionBenchmark.Ratio) -> String {
        func rounded(_ value: Double) -> String {
            value.isFinite ? "\((value * 100).rounded() / 100)" : "\(value)"
        }
        return "\(rounded(ratio.median)) (\(rounded(ratio.low))–\(rounded(ratio.high)))"
    }
}
