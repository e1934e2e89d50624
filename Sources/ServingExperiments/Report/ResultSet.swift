/// All that a report is made from.
public struct ResultSet: Sendable {
    /// Cells that belong to it, measured or not.
    public var planned: [Cell]
    public var results: [CellResult]
    public var rates: [RatesResult]
    public var longSession: LongSession.Outcome?
    /// Why a cell could not be measured, by its name.
    public var failures: [String: String]

    public init(
        planned: [Cell], results: [CellResult], rates: [RatesResult], longSession: LongSession.Outcome? = nil,
        failures: [String: String] = [:]
    ) {
        self.planned = planned
        self.results = results
        self.rates = rates
        self.longSession = longSession
        self.failures = failures
    }

    /// The settings of an experiment in the order of the plan, each once.
    func settings(of experiment: Experiment) -> [Cell.Setting] {
        var settings: [Cell.Setting] = []
        for cell in planned where cell.experiment == experiment && !settings.contains(cell.setting) { settings.append(cell.setting) }
        return settings
    }

    /// Runs of an arm in a setting, in the order of seeds and runs.
    func runs(_ setting: Cell.Setting, _ arm: ServingArm) -> [CellResult] {
        results.filter { $0.cell.arm == arm && $0.cell.setting == setting }
            .sorted { ($0.cell.seed, $0.cell.run) < ($1.cell.seed, $1.cell.run) }
    }

    /// Arms of which the setting has a run.
    func arms(_ setting: Cell.Setting) -> [ServingArm] { ServingArm.allCases.filter { !runs(setting, $0).isEmpty } }

    /// A figure over the runs of an arm.
    func spread(_ setting: Cell.Setting, _ arm: ServingArm, _ value: (CellResult) -> Double?) -> Spread? {
        Spread(runs(setting, arm).compactMap(value))
    }

    /// Share of its bound that a run reached; the rates are those of the same repetition.
    func boundShare(_ result: CellResult) -> Double? {
        guard let steady = result.measures.steadyQueriesPerMinute, let bound = bound(result.cell) else { return nil }
        return steady / bound
    }

    /// Queries per minute at most.
    func bound(_ cell: Cell) -> Double? {
        let key = RatesResult.Key(cell)
        guard let rates = rates.first(where: { $0.key == key })?.rates else { return nil }
        return ArmBound.queriesPerMinute(of: cell.arm, queries: Self.lengths(of: cell), batch: cell.batch, rates: rates)
    }

    /// The cell's queries; their tokens do not matter here.
    static func lengths(of cell: Cell) -> [Workload.Query] {
        cell.workload.queries(count: cell.queryCount, seed: cell.seed, vocabularySize: 1)
    }

    /// The same figure of two arms, of the runs that both have.
    func paired(_ setting: Cell.Setting, _ a: ServingArm, _ b: ServingArm, _ value: (CellResult) -> Double?) -> PairedRatio? {
        let others = runs(setting, b)
        return PairedRatio(runs(setting, a).compactMap { run in
            guard let other = others.first(where: { $0.cell.seed == run.cell.seed && $0.cell.run == run.cell.run }),
                let first = value(run), let second = value(other)
            else { return nil }
            return (first, second)
        })
    }

    /// Cells of the plan without a result.
    var missing: [Cell] {
        let measured = Set(results.map(\.cell))
        return planned.filter { !measured.contains($0) }
    }
}

extension CellResult {
    /// Over the steady window where there is one, else over all.
    var queriesPerMinute: Double { measures.steadyQueriesPerMinute ?? measures.queriesPerMinute }
}
