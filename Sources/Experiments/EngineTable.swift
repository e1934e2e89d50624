/// Measurements of several rounds, a row for each workload and number of threads.
public struct EngineTable: Sendable {
    public struct Row: Encodable, Sendable {
        public var model: String
        public var weights: String
        public var kv: String
        /// `prefill` or `decode`.
        public var phase: String
        /// Prompt tokens, or rows of the batch.
        public var size: Int
        /// Keys that a decode row sees at least; 0 for prefill.
        public var context: Int
        public var threads: Int
        public var rounds: Int
        /// Medians of the rounds.
        public var tokensPerSecond: Double
        public var ceiling: Double
        public var ratio: Double
        /// Lowest and highest ratio of a round.
        public var ratioRange: [Double]
        public var bandwidth: Double
        public var bandwidthShare: Double
        public var operationRate: Double
        public var peakShare: Double
        /// Share of the time by part.
        public var shares: [String: Double]

        enum CodingKeys: String, CodingKey {
            case model, weights, kv, phase, size, context, threads, rounds, ceiling, ratio, bandwidth, shares
            case tokensPerSecond = "tokens_per_second"
            case ratioRange = "ratio_range"
            case bandwidthShare = "bandwidth_share"
            case operationRate = "operation_rate"
            case peakShare = "peak_share"
        }
    }

    public private(set) var rows: [Row] = []
    /// Models that fit the cache are not bound by memory: their ratios to it are not shown.
    public let fitsCache: Bool

    /// - Parameter rounds: the measurements of each round, in the same order in each.
    public init(rounds: [[EngineBenchmark.Measurement]], model: String, weights: String, kv: String, fitsCache: Bool) {
        self.fitsCache = fitsCache
        guard let first = rounds.first else { return }
        for index in first.indices {
            let all = rounds.map { $0[index] }
            rows.append(Row(all, model: model, weights: weights, kv: kv))
        }
    }

    /// Plain text, with the parts' shares of the time in percent.
    public var text: String {
        let head = ["", "threads", "tok/s", "ceiling", "ratio", "(range)", "GB/s", "of read", "GFLOP/s", "of peak",
                    "gemm", "attention", "element", "head", "rest %"]
        let cells = rows.map { row -> [String] in
            let parts = ["gemm", "attention", "elementwise", "head", EngineBenchmark.restName].map { row.shares[$0] ?? 0 }
            let name = row.phase == "prefill" ? "prefill \(row.size)" : "decode B=\(row.size), \(row.context) keys"
            let limited = !fitsCache
            return [name, "\(row.threads)", row.tokensPerSecond.plain(0), limited ? row.ceiling.plain(0) : "-",
                    limited ? row.ratio.plain(2) : "-",
                    limited ? "\(row.ratioRange[0].plain(2))-\(row.ratioRange[1].plain(2))" : "-",
                    limited ? (row.bandwidth / 1e9).plain(1) : "-", limited ? row.bandwidthShare.plain(2) : "-",
                    (row.operationRate / 1e9).plain(0), row.peakShare.plain(2)]
                + parts.map { ($0 * 100).plain(1) }
        }
        return Self.aligned([head] + cells)
    }

    private static func aligned(_ table: [[String]]) -> String {
        let widths = (table.first ?? []).indices.map { column in table.map { $0[column].count }.max() ?? 0 }
        return table.map { line in
            line.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + padding : padding + cell
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}

extension EngineTable.Row {
    fileprivate init(_ all: [EngineBenchmark.Measurement], model: String, weights: String, kv: String) {
        func median(_ value: (EngineBenchmark.Measurement) -> Double) -> Double { all.map(value).median ?? 0 }
        self.model = model
        self.weights = weights
        self.kv = kv
        switch all[0].workload {
        case .prefill(let tokens): (phase, size, context) = ("prefill", tokens, 0)
        case .decode(let batch, let keys): (phase, size, context) = ("decode", batch, keys)
        }
        threads = all[0].threads
        rounds = all.count
        tokensPerSecond = median(\.tokensPerSecond)
        ceiling = median(\.ceiling)
        let ratios = all.map { $0.tokensPerSecond / $0.ceiling }
        ratio = ratios.median ?? 0
        ratioRange = [ratios.min() ?? 0, ratios.max() ?? 0]
        bandwidth = median(\.bandwidth)
        bandwidthShare = median(\.bandwidthShare)
        operationRate = median(\.operationRate)
        peakShare = median(\.peakShare)
        shares = all[0].shares.keys.reduce(into: [:]) { shares, part in shares[part] = median { $0.shares[part] ?? 0 } }
    }
}

extension Double {
    /// So many digits after the point, without Foundation.
    fileprivate func plain(_ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let whole = (self * scale).rounded()
        guard whole.isFinite, whole.magnitude < 1e15 else { return "\(self)" }
        let magnitude = Int(whole.magnitude), unit = Int(scale)
        var text = (whole < 0 ? "-" : "") + "\(magnitude / unit)"
        if digits > 0 {
            let fraction = "\(magnitude % unit)"
            text += "." + String(repeating: "0", count: digits - fraction.count) + fraction
        }
        return text
    }
}
