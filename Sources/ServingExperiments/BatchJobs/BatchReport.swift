/// The report of the BatchLLM experiments: Markdown, and the plots it shows.
public struct BatchReport: Sendable {
    let results: BatchResultSet
    let context: ReportContext
    /// Where the plots stand, as seen from the report.
    let plotDirectory: String

    public init(results: BatchResultSet, context: ReportContext, plotDirectory: String) {
        self.results = results
        self.context = context
        self.plotDirectory = plotDirectory
    }

    public func render() -> BatonReport.Rendered {
        var plots: [BatonReport.Plot] = []
        var sections = [introduction]
        for experiment in BatchExperiment.allCases {
            let settings = results.settings(of: experiment).filter { !results.variants($0).isEmpty }
            guard !settings.isEmpty else { continue }
            let parts = [
                "## \(experiment.rawValue). \(experiment.title)", Self.explanation(experiment), cellTable(settings), comparisons(settings),
                chart(experiment, settings, &plots), completions(experiment, settings, &plots),
            ]
            sections.append(parts.filter { !$0.isEmpty }.joined(separator: "\n\n"))
        }
        sections += [peers, missing].compactMap(\.self)
        return BatonReport.Rendered(markdown: sections.joined(separator: "\n\n") + "\n", plots: plots)
    }

    // MARK: Text

    private var introduction: String {
        let count = results.results.count, inexact = results.results.count { !$0.measures.isExact }
        let answers = results.results.reduce(0) { $0 + $1.measures.queryCount }
        let exactness =
            inexact == 0
            ? "Each of the \(answers) answers has the tokens of the same query alone, in a batch of one."
            : "**\(inexact) cells have answers that differ from the same query alone.** That is a defect, and their speed means nothing."
        return """
            # BatchLLM experiments

            \(context.machine), \(context.model), \(context.date); build \(context.build).

                \(context.command)

            \(count) of \(results.planned.count) cells measured. \(exactness) Greedy, answers of given length, prompts in random order, one mixed worker on two cores;
            the client runs on the same cores. The whole job is submitted as its plan and its admission allow.

            How to read it: figures are medians of n runs with the range of the runs in brackets. *Saving* is the share of the prompt tokens that the workers did
            not compute, by their own count, *of ideal* compares it with every shared prefix computed once. *Output* is of the whole job, ramp and drain included.
            *Tokens per step* are token rows of a forward pass. *Premature evictions* are blocks of a planned
            group's prefix that went before its last member had ended. Memory of 100 % is what the batch's rows hold if they share nothing. Ratios are of runs one
            right after the other, with Student's 95 % interval over the pairs; one that holds 1 is open. Where a simpler arm wins, it stands in bold.

            Arms, each with one thing more than the one before it: `none` computes every prompt whole; `lru` keeps prefixes until memory is needed; `grouped` plans
            the job, and keeps a group's prefix until its last member ends; `reordered` runs decode-heavy groups first; `memory` sizes the batch by KV
            memory; `shared` reads a prefix once for all rows of a step.
            """
    }

    private static func explanation(_ experiment: BatchExperiment) -> String {
        switch experiment {
        case .arms: "Sharing degrees with enough memory."
        case .twoLevels: "A tenth of the prefix is everybody's. A plan groups on one level; the cache shares on all."
        case .memory: "The same jobs with less memory than their batch would hold."
        case .order: "Answers of very different lengths, half of the memory: in the plan's order, with lengths guessed up to half wrong, as they come, at random."
        case .admission: "The same job, admitted by requests, by tokens and by KV memory."
        }
    }

    private func cellTable(_ settings: [BatchCell.Setting]) -> String {
        var table = MarkdownTable(columns: [
            "job", "memory, %", "arm", "n", "output tok/s", "queries/min", "saving, %", "of ideal, %", "tokens per step", "preemptions",
            "premature evictions", "peak KV, MiB", "planning, % of the run",
        ])
        for setting in settings {
            for variant in results.variants(setting) {
                func spread(_ digits: Int, _ value: (BatchCellResult) -> Double?) -> String {
                    results.spread(setting, variant, value).text(digits)
                }
                let ideal = setting.workload.idealSaving
                table.append([
                    setting.workload.name, (setting.memoryShare * 100).plain(0), "`\(variant.name)`", "\(results.runs(setting, variant).count)",
                    spread(0) { $0.measures.outputRate }, spread(0) { $0.measures.queriesPerMinute }, spread(1) { $0.measures.saving * 100 },
                    ideal > 0 ? spread(1) { $0.measures.saving / ideal * 100 } : "–", spread(1) { $0.measures.stepTokens },
                    spread(0) { $0.cluster.preemptions.map { Double($0) } },
                    spread(0) { $0.cluster.prematureEvictions.map { Double($0) } }, spread(0) { Double($0.cluster.peakKVBytes) / 1_048_576 },
                    spread(3) { $0.measures.planningSeconds / $0.measures.seconds * 100 },
                ])
            }
        }
        return table.text
    }

    /// The last variant, which has all of it, against each of the others.
    private func comparisons(_ settings: [BatchCell.Setting]) -> String {
        var table = MarkdownTable(columns: ["job", "memory, %", "ratio of output", "pairs", "", ""])
        for setting in settings {
            let variants = results.variants(setting)
            guard let own = variants.last else { continue }
            for other in variants.dropLast() {
                guard let ratio = results.paired(setting, own, other, { $0.measures.outputRate }) else { continue }
                let verdict =
                    switch ratio.verdict {
                    case .higher: "`\(own.name)` wins"
                    case .lower: "**`\(other.name)` wins**"
                    case .open: "open"
                    }
                table.append([
                    setting.workload.name, (setting.memoryShare * 100).plain(0), "`\(own.name)` / `\(other.name)`", "\(ratio.pairs)", ratio.text, verdict,
                ])
            }
        }
        return table.rows.isEmpty ? "" : table.text
    }

    /// Against our own best variant of experiment 1 with the same job.
    private var peers: String? {
        let settings = results.settings(of: .arms)
        var table = MarkdownTable(columns: ["job", "engine", "setting", "n", "output tok/s", "saving, %", "best arm here", "ours / theirs"])
        for setting in settings {
            let own = results.variants(setting).compactMap { variant in
                results.spread(setting, variant) { $0.measures.outputRate }.map { (variant: variant, rate: $0) }
            }.max { $0.rate.median < $1.rate.median }
            let runs = Dictionary(grouping: results.peers.filter { $0.job == setting.workload.name }) { [$0.engine, $0.version, $0.setting] }
            for name in runs.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
                let group = runs[name, default: []]
                guard let rate = Spread(group.map(\.outputRate)) else { continue }
                table.append([
                    setting.workload.name, "\(name[0]) (\(name[1]))", name[2], "\(group.count)", rate.text(0),
                    Spread(group.compactMap { $0.saving.map { $0 * 100 } }).text(1), own.map { "`\($0.variant.name)`" } ?? "–",
                    own.map { rate.median > 0 ? ($0.rate.median / rate.median).plain(2) : "–" } ?? "–",
                ])
            }
        }
        guard !table.rows.isEmpty else { return nil }
        return "## Other engines\n\nThe same prompts and lengths, on the same cores, by `Benchmarks/peers/jobs.py`.\n\n" + table.text
    }

    private var missing: String? {
        let missing = results.missing
        guard !missing.isEmpty else { return nil }
        let reasons = Dictionary(grouping: missing) { results.failures[$0.name] ?? "not measured yet" }
        let lines = reasons.keys.sorted().map { reason in
            let cells = reasons[reason, default: []]
            let arms = BatchArm.allCases.filter { arm in cells.contains { $0.arm == arm } }.map { "`\($0.rawValue)`" }
            return "- \(cells.count) cells of \(arms.joined(separator: ", ")): \(reason)."
        }
        return (["## Missing", lines.joined(separator: "\n")]).joined(separator: "\n\n")
    }

    // MARK: Plots

    private func show(_ chart: Chart, as name: String, _ plots: inout [BatonReport.Plot]) -> String {
        guard !chart.isEmpty else { return "" }
        plots.append(BatonReport.Plot(name: name + ".svg", svg: ChartSVG.render(chart)))
        return "![\(chart.title)](\(plotDirectory)/\(name).svg)"
    }

    private func chart(_ experiment: BatchExperiment, _ settings: [BatchCell.Setting], _ plots: inout [BatonReport.Plot]) -> String {
        var variants: [BatchCell.Variant] = []
        for setting in settings { for variant in results.variants(setting) where !variants.contains(variant) { variants.append(variant) } }
        func bars(_ title: String, _ unit: String, _ value: (BatchCellResult) -> Double) -> Chart {
            Chart(
                title: "\(title), \(experiment.title.lowercased())", horizontal: "sharing degree (memory)", vertical: unit,
                content: .bars(
                    categories: settings.map { "\($0.workload.degree) (\(($0.memoryShare * 100).plain(0)) %)" },
                    series: variants.enumerated().map { place, variant in
                        Chart.Bars(name: variant.name, color: place, values: settings.map { results.spread($0, variant, value) })
                    }))
        }
        return [
            show(bars("Output", "tokens/s") { $0.measures.outputRate }, as: "output-\(experiment.rawValue)", &plots),
            show(bars("Prompt tokens not computed", "%") { max($0.measures.saving, 0) * 100 }, as: "saving-\(experiment.rawValue)", &plots),
        ].filter { !$0.isEmpty }.joined(separator: "\n\n")
    }

    /// Of the setting that shares the most, each variant's first run.
    private func completions(
        _ experiment: BatchExperiment, _ settings: [BatchCell.Setting], _ plots: inout [BatonReport.Plot]
    ) -> String {
        guard let setting = settings.max(by: { $0.workload.degree < $1.workload.degree }) else { return "" }
        let lines = results.variants(setting).enumerated().compactMap { place, variant in
            results.runs(setting, variant).first.map { run in
                Chart.Line(
                    name: variant.name, color: place,
                    points: [Chart.Point(x: 0, y: 0)]
                        + run.measures.completions.enumerated().map { Chart.Point(x: $1, y: Double($0 + 1)) },
                    isStepped: true)
            }
        }
        return show(
            Chart(
                title: "Queries answered over time, \(setting.workload.name)", horizontal: "seconds", vertical: "queries", content: .lines(lines)),
            as: "completion-\(experiment.rawValue)", &plots)
    }
}
