import Generation

/// What clients ask for: prompts of drawn token ids and answers of drawn, fixed lengths.
public struct Workload: Sendable, Hashable, Codable {
    /// In file names: lower case, digits and dashes.
    public var name: String
    public var prompts: LengthDistribution
    public var outputs: LengthDistribution
    /// Share of the queries with high priority.
    public var urgentShare: Double

    public init(name: String, prompts: LengthDistribution, outputs: LengthDistribution, urgentShare: Double = 0) {
        self.name = name
        self.prompts = prompts
        self.outputs = outputs
        self.urgentShare = urgentShare
    }

    public struct Query: Sendable, Hashable {
        public var prompt: [TokenID]
        /// Tokens of the answer; what the model thinks of its end is ignored.
        public var outputCount: Int
        public var isUrgent: Bool
    }

    /// Equal arguments give equal queries. Which of them are urgent changes neither lengths nor prompts, so that runs
    /// with and without priorities can be compared query by query.
    public func queries(count: Int, seed: UInt64, vocabularySize: Int) -> [Query] {
        var lengths = SeededRandom(seed: seed), tokens = SeededRandom(seed: ~seed), urgency = SeededRandom(seed: seed &* 3 &+ 1)
        return (0..<count).map { _ in
            let promptCount = prompts.draw(&lengths), outputCount = outputs.draw(&lengths)
            return Query(
                prompt: (0..<promptCount).map { _ in TokenID(tokens.below(vocabularySize)) }, outputCount: outputCount,
                isUrgent: urgency.unit() < urgentShare)
        }
    }

    /// Tokens of prompt and answer together, at most.
    public var longest: Int { prompts.greatest + outputs.greatest }

    /// Keys that a decode row of this workload sees on average: half-way through the answers, longer ones for longer.
    public var meanContext: Int {
        let outputs = self.outputs, mean = outputs.mean
        // Σ over lengths n of P(n)·n·(n/2) = E[n²]/2, by the same sum of tails as the mean.
        let square = (0..<outputs.greatest).reduce(0.0) { $0 + (2 * Double($1) + 1) * (1 - outputs.cumulative($1)) }
        return max(1, Int((prompts.mean + square / (2 * mean)).rounded()))
    }

    public func withUrgentShare(_ share: Double) -> Workload {
        var workload = self
        workload.urgentShare = share
        return workload
    }
}

extension Workload {
    /// The paper's main case.
    public static let uniform = Workload(
        name: "uniform-512", prompts: .uniform(least: 16, greatest: 512), outputs: .uniform(least: 16, greatest: 512))
    public static let fixed = Workload(name: "fixed-128", prompts: .constant(128), outputs: .constant(128))
    /// Prompts and answers; prompts stop at 512, so that both fit the model's 2048 positions.
    public static func exponential(cap: Int) -> Workload {
        Workload(
            name: "exponential-\(cap)", prompts: .exponential(mean: Double(min(cap, 512)) / 3, cap: min(cap, 512)),
            outputs: .exponential(mean: Double(cap) / 3, cap: cap))
    }
    public static let shortAndLong = Workload(
        name: "short-long", prompts: .shortAndLong(short: 16...64, long: 384...512, longShare: 0.1),
        outputs: .shortAndLong(short: 16...64, long: 384...512, longShare: 0.1))
    /// Prefill and decode take about as long on a core each.
    public static let balanced = Workload(
        name: "balanced", prompts: .uniform(least: 16, greatest: 512), outputs: .uniform(least: 16, greatest: 128))
    public static let prefillHeavy = Workload(
        name: "prefill-heavy", prompts: .uniform(least: 256, greatest: 1024), outputs: .uniform(least: 8, greatest: 64))
    /// For the short form: everything an eighth as long.
    public static let brief = Workload(
        name: "uniform-64", prompts: .uniform(least: 16, greatest: 256), outputs: .uniform(least: 8, greatest: 64))
}
