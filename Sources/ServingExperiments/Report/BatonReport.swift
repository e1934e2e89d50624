/// The report of the BATON experiments: Markdown, and the plots it shows.
public struct BatonReport: Sendable {
    let results: ResultSet
    let context: ReportContext

    /// Where the plots stand, as seen from the report.
    let plotDirectory: String

    public init(results: ResultSet, context: ReportContext, plotDirectory: String) {
        self.results = results
        self.context = context
        self.plotDirectory = plotDirectory
    }

    public struct Plot: Sendable, Hashable {
        /// File name in the directory of the plots.
        public var name: String
        public var svg: String
    }

    public struct Rendered: Sendable {
        public var markdown: String
        public var plots: [Plot]
    }

    public func render() -> Rendered {
        var plots: [Plot] = []
        var sections = [introduction]
        for experiment in Experiment.allCases {
            let body = section(experiment, &plots)
            if !body.isEmpty { sections.append(body) }
        }
        sections += [rates, extrapolation, missing].compactMap { $0 }
        return Rendered(markdown: sections.joined(separator: "\n\n") + "\n", plots: plots)
    }

    // MARK: Frame

    private var introduction: String {
        let count = results.results.count, inexact = results.results.count { !$0.measures.isExact }
        let answers = results.results.reduce(0) { $0 + $1.measures.queryCount }
        let exactness =
            inexact == 0
            ? "Each of the \(answers) answers has the tokens of the same query alone, in a batch of one."
            : "**\(inexact) cells have answers that differ from the same query alone.** That is a defect, and their speed means nothing."
        return """
            # BATON experiments

            \(context.machine), \(context.model), \(context.date); build \(context.build).

                \(context.command)

            \(count) of \(results.planned.count) cells measured. \(exactness) Greedy, answers of fixed length, two cores in all for every arm and the same
            KV memory in all; clients run on the same cores.

            How to read it: figures are medians of n runs with the range of the runs in brackets. *Queries/min* and *tok/s* are of the steady window: from
            when the batch was first full until nothing waited any more; in cells that have none (fewer queries than two batches) of all of the time.
            *TTFT* counts from the start of the query's prefill: in a closed loop the time in the queue is the loop's own. *Of bound* compares with the
            most that the engine's own rates, measured in the same run, allow the arm. *Idle* is the share of token rows computed for padding, for
            finished rows or for rows that wait on a prefill. A dash is something that this build does not measure or that was not measured yet. Ratios of two arms are of runs one right after
            the other, with Student's 95 % interval over the pairs; one that holds 1 is open.

            Arms: `static` runs a batch to completion, padded; `orca` prefills inline; `orca-padded` is the paper's picture of it, in which the rows of the
            batch wait padded; `baton-dense` and `baton` prefill on one core and decode on the other, with padded KV or block tables; `baton-lent` lends
            cores between the two; `mixed` computes chunks of prompts beside the rows of the batch.
            """
    }

    private func section(_ experiment: Experiment, _ plots: inout [Plot]) -> String {
        guard !results.settings(of: experiment).isEmpty || experiment == .longSession else { return "" }
        let body: [String] =
            switch experiment {
            case .batchSizes: batchSizes(&plots)
            case .skew: [cellTable(.skew), comparisons(.skew)]
            case .notReplenished: notReplenished(&plots)
            case .preemption: preemption(&plots)
            case .memory: memory(&plots)
            case .formats: [cellTable(.formats), comparisons(.formats)]
            case .longSession: longSession
            }
        let parts = body.filter { !$0.isEmpty }
        guard !parts.isEmpty else { return "" }
        return (["## \(experiment.rawValue). \(experiment.title)"] + parts).joined(separator: "\n\n")
    }

    /// Adds a plot, and names it in the text.
    func show(_ chart: Chart, as name: String, _ plots: inout [Plot]) -> String {
        guard !chart.isEmpty else { return "" }
        plots.append(Plot(name: name + ".svg", svg: ChartSVG.render(chart)))
        return "![\(chart.title)](\(plotDirectory)/\(name).svg)"
    }

    private var missing: String? {
        let missing = results.missing
        guard !missing.isEmpty else { return nil }
        let reasons = Dictionary(grouping: missing) { results.failures[$0.name] ?? "not measured yet" }
        let lines = reasons.keys.sorted().map { reason in
            let cells = reasons[reason, default: []]
            let arms = ServingArm.allCases.filter { arm in cells.contains { $0.arm == arm } }.map { "`\($0.rawValue)`" }
            return "- \(cells.count) cells of \(arms.joined(separator: ", ")): \(reason)."
        }
        return (["## Missing", lines.joined(separator: "\n")]).joined(separator: "\n\n")
    }

    // MARK: Rates

    private var rates: String? {
        guard !results.rates.isEmpty else { return nil }
        var table = MarkdownTable(columns: [
            "workload", "B", "weights", "n", "prefill 1T", "prefill 2T", "decode 1T", "decode 2T", "side by side: prefill", "decode",
        ])
        for group in rateGroups {
            func cell(_ value: (EngineRates) -> Double) -> String { Spread(group.map { value($0.rates) }).text(0) }
            let key = group[0].key
            table.append([
                key.workload.name, "\(key.batch)", key.weights, "\(group.count)", cell(\.prefillOnOne), cell(\.prefillOnTwo),
                cell(\.decodeOnOne), cell(\.decodeOnTwo), cell(\.sideBySide.prefill), cell(\.sideBySide.decode),
            ])
        }
        return """
            ## The engine's rates

            Tokens per second in one process, measured between the cells. 1T and 2T: one and two threads, alone on the machine; side by side: a core each, at
            the same time, over the same weights in memory. Decode is of B rows at the workload's mean context. For the bound of `mixed`, steps with rows and chunks of
            prompts of several sizes are measured as well.

            \(table.text)
            """
    }

    private var rateGroups: [[RatesResult]] {
        var groups: [[RatesResult]] = []
        for result in results.rates.sorted(by: { $0.key.run < $1.key.run }) {
            var key = result.key
            key.run = 0
            let place = groups.firstIndex { group in
                var other = group[0].key
                other.run = 0
                return other == key
            }
            if let place { groups[place].append(result) } else { groups.append([result]) }
        }
        return groups.sorted { ($0[0].key.workload.name, $0[0].key.batch) < ($1[0].key.workload.name, $1[0].key.batch) }
    }

    private static let servers = [
        ServerExtrapolation(cores: 8, memory: 2), ServerExtrapolation(cores: 16, memory: 3),
        ServerExtrapolation(cores: 32, memory: 4), ServerExtrapolation(cores: 64, memory: 6),
    ]

    private var extrapolation: String? {
        guard !results.rates.isEmpty else { return nil }
        var table = MarkdownTable(
            columns: ["workload", "B"] + Self.servers.map { "\($0.cores) cores, \($0.memory.plain(0)) × memory" })
        for group in rateGroups {
            let key = group[0].key
            let queries = key.workload.queries(count: 1000, seed: 42, vocabularySize: 1)
            let demand = ArmBound.Demand(queries, batch: key.batch)
            table.append([key.workload.name, "\(key.batch)"] + Self.servers.map { server in
                Spread(group.map { server.gain(for: demand, rates: $0.rates) }).text(2)
            })
        }
        return """
            ## Larger servers, computed

            **Not measured.** The bound of separated workers over that of inline prefill, from the rates above: prefill grows with the cores, a decode step too, but
            it takes no less time than the memory needs. Memory as a multiple of what these two cores read.

            \(table.text)
            """
    }
}
