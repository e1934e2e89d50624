import ClusterCore

/// The experiments on planning in virtual time: what grouping, order and admission do, apart from any engine. Equal arguments give
/// equal figures on every machine.
public struct PlanningExperiments: Sendable {
    /// Tokens of a prefix: 2000 is the paper's job, 500 the one for small machines.
    public var unit: Int
    public var count: Int
    public var degrees: [Int]
    /// Of the arms that count requests.
    public var rows: Int
    /// Tokens of a step at most.
    public var stepTokens: Int
    public var cost: StepCost
    public var seed: UInt64

    public init(unit: Int, count: Int, degrees: [Int], rows: Int, stepTokens: Int, cost: StepCost, seed: UInt64) {
        self.unit = unit
        self.count = count
        self.degrees = degrees
        self.rows = rows
        self.stepTokens = stepTokens
        self.cost = cost
        self.seed = seed
    }

    private static let vocabularySize = 32_000
    private static let blockSize = 16

    public func run() throws -> PlanningReport {
        try PlanningReport(
            unit: unit, count: count, stepTokens: stepTokens, arms: arms(), levels: levels(), memory: memory(), orders: orders(),
            admissions: admissions(), timing: nil)
    }

    private func queries(_ workload: PrefixWorkload) -> [Workload.Query] {
        workload.queries(seed: seed, vocabularySize: Self.vocabularySize)
    }

    /// Blocks that `rows` prompts with their answers hold, if they share nothing.
    private func fullMemory(_ workload: PrefixWorkload) -> Int {
        rows * ((workload.longest + Self.blockSize - 1) / Self.blockSize)
    }

    private func measure(
        _ workload: PrefixWorkload, _ queries: [Workload.Query], _ arm: BatchArm, memoryShare: Double = 1,
        limit: AdmissionWindow.Limit? = nil, options: BatchPlanner.Options? = nil, shuffle: UInt64? = nil, expected: [Int]? = nil
    ) throws -> PlanningOutcome {
        let memory = Int((memoryShare * Double(fullMemory(workload))).rounded())
        let byArm: AdmissionWindow.Limit = arm.isSizedByMemory ? .kvMemory(blocks: memory, blockSize: Self.blockSize) : .requests(rows)
        let settings = VirtualRun.Settings(
            arm: arm, options: options, shuffle: shuffle, limit: limit ?? byArm, memory: memory, blockSize: Self.blockSize,
            stepTokens: stepTokens, cost: cost)
        var run = VirtualRun(queries, settings, expected: expected)
        guard let outcome = run.run() else { throw PlanningError.doesNotFit(workload.name, blocks: memory) }
        return outcome
    }

    // MARK: 1. Arms

    private func arms() throws -> [PlanningReport.Arm] {
        try degrees.flatMap { degree in
            let workload = PrefixWorkload.paper(degree: degree, unit: unit, count: count), queries = queries(workload)
            return try BatchArm.allCases.map { arm in
                PlanningReport.Arm(
                    degree: degree, arm: arm, ideal: workload.idealSaving, outcome: try measure(workload, queries, arm))
            }
        }
    }

    // MARK: 2. Two levels

    private func levels() throws -> [PlanningReport.Levels] {
        try degrees.map { degree in
            let workload = PrefixWorkload.twoLevel(degree: degree, unit: unit, count: count), queries = queries(workload)
            let plans = PrefixGrouping.allCases.map { grouping in
                BatchPlanner.plan(
                    prompts: queries.map(\.prompt), expectedAnswerLengths: queries.map(\.outputCount), options: .init(grouping: grouping))
            }
            let ideal = plans.map(\.mostSavedTokens).max() ?? 0
            let outcome = try measure(workload, queries, .reordered)
            return PlanningReport.Levels(
                degree: degree, ideal: Double(ideal) / Double(count * workload.promptLength),
                shares: Dictionary(uniqueKeysWithValues: zip(PrefixGrouping.allCases.map(\.rawValue), plans.map { plan in
                    ideal > 0 ? Double(plan.savedTokens) / Double(ideal) : 1
                })), outcome: outcome)
        }
    }

    // MARK: 3. Memory

    private func memory() throws -> [PlanningReport.Memory] {
        try [0.25, 0.5, 1].flatMap { share in
            try degrees.filter { $0 > 1 }.flatMap { degree in
                let workload = PrefixWorkload.paper(degree: degree, unit: unit, count: count), queries = queries(workload)
                return try [BatchArm.lru, .grouped, .memory].map { arm in
                    PlanningReport.Memory(
                        share: share, degree: degree, arm: arm, ideal: workload.idealSaving,
                        outcome: try measure(workload, queries, arm, memoryShare: share))
                }
            }
        }
    }

    // MARK: 4. Order

    private func orders() throws -> [PlanningReport.Order] {
        let workload = PrefixWorkload.spreadOutputs(degree: 8, unit: unit, count: count), queries = queries(workload)
        let exact = queries.map(\.outputCount)
        var random = SeededRandom(seed: seed &* 5 &+ 2)
        let guessed = exact.map { max(1, Int((Double($0) * (0.5 + random.unit())).rounded())) }
        func outcome(_ name: String, _ options: BatchPlanner.Options, _ expected: [Int], shuffle: UInt64? = nil) throws -> PlanningReport.Order {
            PlanningReport.Order(
                name: name,
                outcome: try measure(workload, queries, .memory, memoryShare: 0.5, options: options, shuffle: shuffle, expected: expected))
        }
        let ratio = BatchPlanner.Options(), arrival = BatchPlanner.Options(order: .arrival)
        return try [
            outcome("ratio, lengths known", ratio, exact), outcome("ratio, lengths ± 50 %", ratio, guessed),
            outcome("first come, lengths known", arrival, exact), outcome("first come, lengths ± 50 %", arrival, guessed),
            outcome("random 1, lengths known", arrival, exact, shuffle: 1), outcome("random 2, lengths known", arrival, exact, shuffle: 2),
            outcome("random 3, lengths known", arrival, exact, shuffle: 3),
        ]
    }

    // MARK: 5. Admission

    private func admissions() throws -> [PlanningReport.Admission] {
        let workload = PrefixWorkload.spreadOutputs(degree: 8, unit: unit, count: count), queries = queries(workload)
        let memory = Int((0.5 * Double(fullMemory(workload))).rounded())
        // All that is known beforehand is the limit, which is the same for all.
        let limits = queries.map { _ in workload.outputs.greatest }
        var admissions: [(String, AdmissionWindow.Limit)] = [1, 2, 4, 8].map { ("\(rows * $0 / 2) requests", .requests(rows * $0 / 2)) }
        admissions += [1, 2, 4].map { ("\(memory * Self.blockSize * $0) tokens", .tokens(memory * Self.blockSize * $0)) }
        admissions.append(("\(memory) blocks of KV", .kvMemory(blocks: memory, blockSize: Self.blockSize)))
        return try admissions.map { name, limit in
            PlanningReport.Admission(
                name: name, memory: memory, outcome: try measure(workload, queries, .reordered, memoryShare: 0.5, limit: limit, expected: limits))
        }
    }
}

enum PlanningError: Error, CustomStringConvertible {
    case doesNotFit(String, blocks: Int)

    var description: String {
        switch self {
        case .doesNotFit(let workload, let blocks): "\(workload): a prompt and its group's prefix do not fit \(blocks) blocks"
        }
    }
}
