/// Which cells there are, and in which order they are measured.
public struct BatchExperimentPlan: Sendable {
    public var experiments: [BatchExperiment]
    public var arms: [BatchArm]
    public var degrees: [Int]
    /// Tokens of a group's prefix.
    public var unit: Int
    public var count: Int
    public var rows: Int
    public var seeds: [UInt64]
    public var runs: Int

    /// As EXPERIMENTS.md sizes it, in the form for small machines.
    public static let full = BatchExperimentPlan(
        experiments: BatchExperiment.allCases, arms: BatchArm.allCases, degrees: [16, 1, 4, 2, 8], unit: 500, count: 400, rows: 32,
        seeds: [42, 123], runs: 3)

    /// The paper's own sizes: for servers.
    public static let paper = BatchExperimentPlan(
        experiments: BatchExperiment.allCases, arms: BatchArm.allCases, degrees: [16, 1, 4, 2, 8], unit: 2000, count: 6400, rows: 64,
        seeds: [42, 123], runs: 3)

    /// Five minutes.
    public static let short = BatchExperimentPlan(
        experiments: [.arms, .memory], arms: BatchArm.allCases, degrees: [16], unit: 240, count: 48, rows: 16, seeds: [42], runs: 2)

    /// In the order of measuring: arms lie innermost, so that the cells of a comparison follow one another (A B, A B …), and
    /// repetitions outermost, so that what was measured when time is up has the breadth of the whole.
    public var cells: [BatchCell] {
        (0..<runs).flatMap { run in
            seeds.flatMap { seed in experiments.flatMap { cells(of: $0, seed: seed, run: run) } }
        }
    }

    private func cells(of experiment: BatchExperiment, seed: UInt64, run: Int) -> [BatchCell] {
        func cell(
            _ workload: PrefixWorkload, _ arm: BatchArm, order: JobOrder = .ofArm, admission: JobAdmission = .ofArm, memoryShare: Double = 1
        ) -> BatchCell {
            BatchCell(
                experiment: experiment, arm: arm, workload: workload, rows: rows, order: order, admission: admission,
                memoryShare: memoryShare, seed: seed, run: run)
        }
        func some(_ wanted: [BatchArm]) -> [BatchArm] { arms.filter(wanted.contains) }
        let spread = PrefixWorkload.spreadOutputs(degree: 8, unit: unit, count: count)
        switch experiment {
        case .arms:
            return degrees.flatMap { degree in arms.map { cell(.paper(degree: degree, unit: unit, count: count), $0) } }
        case .twoLevels:
            return degrees.filter { $0 > 1 }.flatMap { degree in
                some([.none, .lru, .reordered]).map { cell(.twoLevel(degree: degree, unit: unit, count: count), $0) }
            }
        case .memory:
            return [0.25, 0.5].flatMap { share in
                degrees.filter { $0 > 1 }.flatMap { degree in
                    some([.none, .lru, .grouped, .memory, .shared]).map {
                        cell(.paper(degree: degree, unit: unit, count: count), $0, memoryShare: share)
                    }
                }
            }
        case .order:
            return some([.memory]).flatMap { arm in JobOrder.allCases.map { cell(spread, arm, order: $0, memoryShare: 0.5) } }
        case .admission:
            return some([.reordered]).flatMap { arm in
                [JobAdmission.requests, .tokens, .kvMemory].map { cell(spread, arm, admission: $0, memoryShare: 0.5) }
            }
        }
    }
}
