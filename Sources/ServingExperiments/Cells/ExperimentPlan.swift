/// Which cells there are, and in which order they are measured.
public struct ExperimentPlan: Sendable {
    public var experiments: [Experiment]
    public var arms: [ServingArm]
    public var batches: [Int]
    public var seeds: [UInt64]
    public var runs: Int
    public var queryCount: Int
    /// The first is the one of experiment 1 that all other experiments stand on.
    public var workloads: [Workload]
    public var skewed: [Workload]
    /// Weights and KV of experiment 7.
    public var formats: [(weights: String, kv: String)]

    /// As EXPERIMENTS.md sizes it.
    public static let full = ExperimentPlan(
        experiments: Experiment.allCases, arms: ServingArm.allCases, batches: [2, 4, 8, 16, 32], seeds: [42, 123], runs: 3,
        queryCount: 100, workloads: [.uniform, .balanced, .prefillHeavy],
        skewed: [.fixed] + [32, 128, 512, 1536].map { .exponential(cap: $0) } + [.shortAndLong],
        formats: [("bfloat16", "bfloat16"), ("int8", "bfloat16"), ("int8", "int8")])

    /// Five minutes.
    public static let short = ExperimentPlan(
        experiments: [.batchSizes, .preemption], arms: ServingArm.allCases, batches: [8], seeds: [42], runs: 2,
        queryCount: 48, workloads: [.brief], skewed: [.brief], formats: [("int8", "int8")])

    public init(
        experiments: [Experiment], arms: [ServingArm], batches: [Int], seeds: [UInt64], runs: Int, queryCount: Int,
        workloads: [Workload], skewed: [Workload], formats: [(weights: String, kv: String)]
    ) {
        self.experiments = experiments
        self.arms = arms
        self.batches = batches
        self.seeds = seeds
        self.runs = runs
        self.queryCount = queryCount
        self.workloads = workloads
        self.skewed = skewed
        self.formats = formats
    }

    /// In the order of measuring. Arms lie innermost, so that the cells of a comparison follow one another (A B, A B …).
    /// Batch sizes, on which all else stands, come first with all repetitions; of the others each repetition goes through
    /// all, so that what was measured when time is up has the breadth of the whole.
    public var cells: [Cell] {
        [experiments.filter { $0 == .batchSizes }, experiments.filter { $0 != .batchSizes }].flatMap { group in
            (0..<runs).flatMap { run in
                seeds.flatMap { seed in group.flatMap { cells(of: $0, seed: seed, run: run) } }
            }
        }
    }

    private func cells(of experiment: Experiment, seed: UInt64, run: Int) -> [Cell] {
        func row(
            _ workload: Workload, _ batch: Int, _ queryCount: Int, _ load: Cell.Load = .replenished, formats: (String, String) = ("auto", "auto"),
            memoryShare: Double? = nil
        ) -> [Cell] {
            arms.map {
                Cell(
                    experiment: experiment, arm: $0, batch: batch, workload: workload, queryCount: queryCount, load: load, seed: seed,
                    run: run, weights: formats.0, kv: formats.1, memoryShare: memoryShare)
            }
        }
        switch experiment {
        case .batchSizes:
            return workloads.flatMap { workload in batches.flatMap { row(workload, $0, queryCount) } }
        case .skew: return skewed.flatMap { row($0, middle, queryCount) }
        case .notReplenished: return batches.flatMap { row(workloads[0], $0, $0, .once) }
        case .preemption:
            let urgent = workloads[0].withUrgentShare(0.1)
            return row(urgent, middle, queryCount) + row(workloads[0], middle, queryCount)
                + row(workloads[0].withUrgentShare(1), middle, min(queryCount, 16), .single)
        case .memory: return [nil, 1, 0.75, 0.5].flatMap { row(workloads[0], middle, queryCount, memoryShare: $0) }
        case .formats:
            return formats.flatMap { formats in
                row(workloads[0], middle, queryCount, formats: formats) + row(skewed[skewed.count - 1], middle, queryCount, formats: formats)
            }
        case .longSession: return []
        }
    }

    /// The batch size of experiments that vary something else.
    private var middle: Int { batches.contains(8) ? 8 : batches[batches.count / 2] }
}
