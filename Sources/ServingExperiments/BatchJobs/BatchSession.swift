/// Measures one cell of a job.
public protocol BatchCellMeasuring: Sendable {
    func measure(_ cell: BatchCell) async throws -> BatchCellResult
}

/// Goes through a plan, keeps every result at once, and skips what an earlier session has kept.
public struct BatchSession: Sendable {
    public let plan: BatchExperimentPlan
    /// Those of the plan that this build can serve.
    public let arms: Set<BatchArm>
    public let store: ResultStore
    public let build: String
    let bench: any BatchCellMeasuring
    /// Seconds on a clock that goes on.
    let now: @Sendable () -> Double
    let report: @Sendable (Progress) -> Void

    public enum Progress: Sendable {
        case measuring(BatchCell, done: Int, of: Int)
        case failed(BatchCell, String)
        /// Time is up; so many cells are left.
        case stopped(left: Int)
    }

    public init(
        plan: BatchExperimentPlan, arms: Set<BatchArm>, store: ResultStore, build: String, bench: any BatchCellMeasuring,
        now: @escaping @Sendable () -> Double, report: @escaping @Sendable (Progress) -> Void
    ) {
        self.plan = plan
        self.arms = arms
        self.store = store
        self.build = build
        self.bench = bench
        self.now = now
        self.report = report
    }

    /// Measures what is missing. A cell that cannot be measured is named and does not keep the others from it.
    /// - Parameter deadline: on the session's clock; no cell begins if the longest so far would not end before it.
    /// - Returns: what there is now, of this session and earlier ones.
    /// - Throws: if a result cannot be stored.
    public func run(until deadline: Double?) async throws -> BatchResultSet {
        var failures: [String: String] = [:]
        var longest = 0.0
        let cells = plan.cells
        for (index, cell) in cells.enumerated() where arms.contains(cell.arm) && store.result(of: cell, build: build) == nil {
            if let deadline, now() + longest > deadline {
                report(.stopped(left: cells[index...].count { arms.contains($0.arm) && store.result(of: $0, build: build) == nil }))
                break
            }
            report(.measuring(cell, done: index, of: cells.count))
            let began = now()
            let result: BatchCellResult
            do {
                result = try await bench.measure(cell)
            } catch {
                failures[cell.name] = "\(error)"
                report(.failed(cell, "\(error)"))
                continue
            }
            try store.store(result)
            longest = max(longest, now() - began)
        }
        return stored(failures: failures)
    }

    /// What earlier sessions have kept.
    public func stored(failures: [String: String] = [:]) -> BatchResultSet {
        var failures = failures
        for cell in plan.cells where !arms.contains(cell.arm) { failures[cell.name] = BenchmarkSession.notServed }
        return BatchResultSet(
            planned: plan.cells, results: plan.cells.compactMap { store.result(of: $0, build: build) }, failures: failures,
            peers: store.peers)
    }
}

/// All that a report is made from.
public struct BatchResultSet: Sendable {
    /// Cells that belong to it, measured or not.
    public var planned: [BatchCell]
    public var results: [BatchCellResult]
    /// Why a cell could not be measured, by its name.
    public var failures: [String: String]
    /// The same jobs on other engines.
    public var peers: [PeerJob] = []

    /// The settings of an experiment in the order of the plan, each once.
    func settings(of experiment: BatchExperiment) -> [BatchCell.Setting] {
        var settings: [BatchCell.Setting] = []
        for cell in planned where cell.experiment == experiment && !settings.contains(cell.setting) { settings.append(cell.setting) }
        return settings
    }

    /// Variants of which the setting has a run, in the order of the plan.
    func variants(_ setting: BatchCell.Setting) -> [BatchCell.Variant] {
        var variants: [BatchCell.Variant] = []
        for result in results where result.cell.setting == setting && !variants.contains(result.cell.variant) {
            variants.append(result.cell.variant)
        }
        return variants
    }

    /// In the order of seeds and runs.
    func runs(_ setting: BatchCell.Setting, _ variant: BatchCell.Variant) -> [BatchCellResult] {
        results.filter { $0.cell.setting == setting && $0.cell.variant == variant }
            .sorted { ($0.cell.seed, $0.cell.run) < ($1.cell.seed, $1.cell.run) }
    }

    func spread(_ setting: BatchCell.Setting, _ variant: BatchCell.Variant, _ value: (BatchCellResult) -> Double?) -> Spread? {
        Spread(runs(setting, variant).compactMap(value))
    }

    /// The same figure of two variants, of the runs that both have.
    func paired(
        _ setting: BatchCell.Setting, _ a: BatchCell.Variant, _ b: BatchCell.Variant, _ value: (BatchCellResult) -> Double
    ) -> PairedRatio? {
        let others = runs(setting, b)
        return PairedRatio(runs(setting, a).compactMap { run in
            others.first { $0.cell.seed == run.cell.seed && $0.cell.run == run.cell.run }.map { (value(run), value($0)) }
        })
    }

    /// Cells of the plan without a result.
    var missing: [BatchCell] {
        let measured = Set(results.map(\.cell))
        return planned.filter { !measured.contains($0) }
    }
}
