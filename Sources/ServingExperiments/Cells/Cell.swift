/// The BATON experiments of the house, by their numbers.
public enum Experiment: Int, Sendable, Hashable, Codable, CaseIterable {
    case batchSizes = 1
    case skew
    case notReplenished
    case preemption
    case memory
    // 6, insert and trim alone, is a benchmark of its own.
    case formats = 7
    case longSession

    public var title: String {
        switch self {
        case .batchSizes: "Batch sizes"
        case .skew: "Skewed lengths"
        case .notReplenished: "Not replenished"
        case .preemption: "Preemption"
        case .memory: "KV memory"
        case .formats: "Number formats"
        case .longSession: "A long session"
        }
    }
}

/// One run of one arm on one workload: the unit that is measured, stored and skipped.
public struct Cell: Sendable, Hashable, Codable {
    public var experiment: Experiment
    public var arm: ServingArm
    /// Rows of the batch.
    public var batch: Int
    public var workload: Workload
    public var queryCount: Int
    /// How clients send.
    public var load: Load
    public var seed: UInt64
    /// Number of the repetition, from 0.
    public var run: Int
    /// Number formats, as the workers' flags name them.
    public var weights: String
    public var kv: String
    /// KV memory of the decode side, as a share of what an unconstrained run used at most; `nil`: unconstrained.
    public var memoryShare: Double?

    public enum Load: String, Sendable, Hashable, Codable {
        /// Closed loop: as many in flight as keep the queue from running empty.
        case replenished
        /// All at once, and nothing after them.
        case once
        /// One after the other: the cluster is idle when a query comes.
        case single
    }

    public init(
        experiment: Experiment, arm: ServingArm, batch: Int, workload: Workload, queryCount: Int, load: Load = .replenished,
        seed: UInt64, run: Int, weights: String = "auto", kv: String = "auto", memoryShare: Double? = nil
    ) {
        self.experiment = experiment
        self.arm = arm
        self.batch = batch
        self.workload = workload
        self.queryCount = queryCount
        self.load = load
        self.seed = seed
        self.run = run
        self.weights = weights
        self.kv = kv
        self.memoryShare = memoryShare
    }

    /// Distinguishes it from every other cell; the parameters themselves are in the file.
    public var name: String {
        var parts = [
            "e\(experiment.rawValue)", workload.name, "\(arm.rawValue)", "b\(batch)", "n\(queryCount)", load.rawValue, "s\(seed)",
            "r\(run)", weights, kv,
        ]
        if workload.urgentShare > 0 { parts.append("urgent\((workload.urgentShare * 100).plain(0))") }
        if let memoryShare { parts.append("memory\((memoryShare * 100).plain(0))") }
        return parts.joined(separator: "_")
    }

    /// Requests in flight. Two batches: while one decodes, the next is prefilled or waits, and some more wait behind it.
    public var concurrency: Int {
        switch load {
        case .replenished: min(queryCount, 2 * batch + 4)
        case .once: queryCount
        case .single: 1
        }
    }

    /// What it is compared within: everything but the arm, the run and the seed.
    var setting: Setting {
        Setting(
            experiment: experiment, batch: batch, workload: workload, load: load, weights: weights, kv: kv, memoryShare: memoryShare,
            queryCount: queryCount)
    }

    struct Setting: Sendable, Hashable {
        var experiment: Experiment
        var batch: Int
        var workload: Workload
        var load: Load
        var weights: String
        var kv: String
        var memoryShare: Double?
        var queryCount: Int
    }
}
