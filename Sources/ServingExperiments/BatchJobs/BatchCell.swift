/// The BatchLLM experiments of the house, by their numbers. The sixth, attention alone, is a benchmark of the engine.
public enum BatchExperiment: Int, Sendable, Hashable, Codable, CaseIterable {
    case arms = 1
    case twoLevels
    case memory
    case order
    case admission

    public var title: String {
        switch self {
        case .arms: "Arms"
        case .twoLevels: "Two levels"
        case .memory: "KV memory"
        case .order: "Order"
        case .admission: "Admission"
        }
    }
}

/// In what order the groups of a job run.
public enum JobOrder: String, Sendable, Hashable, Codable, CaseIterable {
    /// As the arm has it.
    case ofArm = "arm"
    /// By the ratio of answer to prompt tokens, with lengths that are up to half too long or too short.
    case guessed
    case arrival
    case random
}

/// What the size of a batch is measured by.
public enum JobAdmission: String, Sendable, Hashable, Codable, CaseIterable {
    /// As the arm has it.
    case ofArm = "arm"
    case requests
    case tokens
    case kvMemory = "kv-memory"
}

/// One run of one arm on one job: the unit that is measured, stored and skipped.
public struct BatchCell: Sendable, Hashable, Codable {
    public var experiment: BatchExperiment
    public var arm: BatchArm
    public var workload: PrefixWorkload
    /// Rows of the batch, for arms that count requests.
    public var rows: Int
    public var order: JobOrder
    public var admission: JobAdmission
    /// KV memory, as a share of what `rows` queries hold that share nothing.
    public var memoryShare: Double
    public var seed: UInt64
    /// Number of the repetition, from 0.
    public var run: Int

    public init(
        experiment: BatchExperiment, arm: BatchArm, workload: PrefixWorkload, rows: Int, order: JobOrder = .ofArm,
        admission: JobAdmission = .ofArm, memoryShare: Double = 1, seed: UInt64, run: Int
    ) {
        self.experiment = experiment
        self.arm = arm
        self.workload = workload
        self.rows = rows
        self.order = order
        self.admission = admission
        self.memoryShare = memoryShare
        self.seed = seed
        self.run = run
    }

    /// Distinguishes it from every other cell; the parameters themselves are in the file.
    public var name: String {
        var parts = ["batch", "e\(experiment.rawValue)", workload.name, arm.rawValue, "b\(rows)", "memory\((memoryShare * 100).plain(0))"]
        if order != .ofArm { parts.append(order.rawValue) }
        if admission != .ofArm { parts.append("by-" + admission.rawValue) }
        return (parts + ["s\(seed)", "r\(run)"]).joined(separator: "_")
    }

    static let blockSize = 16

    /// Blocks of the whole cluster.
    public var memoryBlocks: Int {
        let perQuery = (workload.longest + Self.blockSize - 1) / Self.blockSize
        return max(Int((memoryShare * Double(rows * perQuery)).rounded()), 2 * perQuery)
    }

    public var isSizedByMemory: Bool { admission == .ofArm ? arm.isSizedByMemory : admission == .kvMemory }

    /// What it is compared within: everything but what the experiment varies, the run and the seed.
    struct Setting: Sendable, Hashable {
        var experiment: BatchExperiment
        var workload: PrefixWorkload
        var rows: Int
        var memoryShare: Double
    }

    var setting: Setting { Setting(experiment: experiment, workload: workload, rows: rows, memoryShare: memoryShare) }

    /// What the experiment varies.
    struct Variant: Sendable, Hashable {
        var arm: BatchArm
        var order: JobOrder
        var admission: JobAdmission

        var name: String {
            var parts = [arm.rawValue]
            if order != .ofArm { parts.append(order.rawValue) }
            if admission != .ofArm { parts.append("by " + admission.rawValue) }
            return parts.joined(separator: ", ")
        }
    }

    var variant: Variant { Variant(arm: arm, order: order, admission: admission) }
}
