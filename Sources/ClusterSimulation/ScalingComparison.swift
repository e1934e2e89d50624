import ClusterCore

/// The policies of batch scaling beside each other, under light, medium and heavy load.
public enum ScalingComparison {
    public struct Row: Sendable {
        public var workload: String
        public var policy: String
        public var outcome: ScalingExperiment.Outcome
    }

    static let policies: [(name: String, configuration: BatchScale.Configuration)] = [
        ("off", .init(policy: .off)),
        ("threshold", .init(policy: .threshold)),
        ("threshold, 45 ms", .init(policy: .threshold, target: .milliseconds(45))),
        ("smdp", .init(policy: .smdp)),
    ]

    /// Where weights are read for all rows together, and where each row costs as much as they do.
    static let engines: [(name: String, iteration: Duration, row: Duration, rates: [Double])] = [
        ("20 ms + 3 ms a row", .milliseconds(20), .milliseconds(3), [0.5, 1.2, 1.8]),
        ("8 ms + 8 ms a row", .milliseconds(8), .milliseconds(8), [0.3, 0.6, 0.9]),
    ]

    public static func run(queryCount: Int = 2_000, seed: UInt64 = 1) -> [Row] {
        var rows: [Row] = []
        for engine in engines {
            for isUniform in [false, true] {
                for (load, rate) in zip(["light", "medium", "heavy"], engine.rates) {
                    let lengths = isUniform ? "100 tokens each" : "100 tokens on average"
                    var workload = ScalingExperiment.Workload(name: "\(engine.name); \(lengths); \(load)", arrivalRate: rate)
                    (workload.isUniform, workload.queryCount) = (isUniform, queryCount)
                    rows += compare(workload, on: engine.iteration, engine.row, seed: seed)
                }
            }
        }
        return rows
    }

    private static func compare(
        _ workload: ScalingExperiment.Workload, on iteration: Duration, _ row: Duration, seed: UInt64
    ) -> [Row] {
        var engine = ScalingExperiment.Engine()
        (engine.iteration, engine.row) = (iteration, row)
        return policies.map { policy in
            let experiment = ScalingExperiment(workload, engine: engine, scaling: policy.configuration)
            return Row(workload: workload.name, policy: policy.name, outcome: experiment.run(seed: seed))
        }
    }

    /// A table in Markdown.
    public static func table(of rows: [Row]) -> String {
        let head = """
            | engine; answers; load | policy | mean latency s | p99 s | ms between tokens | engine ms a token | rows | parks | held back |
            |---|---|---:|---:|---:|---:|---:|---:|---:|
            """
        return ([head] + rows.map(\.line)).joined(separator: "\n")
    }
}

extension ScalingComparison.Row {
    fileprivate var line: String {
        let figures = [
            Self.rounded(outcome.meanLatency / .seconds(1)), Self.rounded(outcome.p99Latency / .seconds(1)),
            Self.rounded(outcome.meanTokenTime / .milliseconds(1)),
            Self.rounded(outcome.engineTimePerToken / .milliseconds(1)), Self.rounded(outcome.meanRows),
            "\(outcome.parks)", "\(outcome.heldBack)",
        ]
        return "| \(workload) | \(policy) | \(figures.joined(separator: " | ")) |"
    }

    /// Two decimals.
    private static func rounded(_ value: Double) -> String {
        let hundredths = Int(value * 100 + 0.5)
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
    }
}
