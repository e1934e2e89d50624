// The sections of the single experiments.
extension BatonReport {
    // MARK: 1, 2, 7: arms beside each other

    func batchSizes(_ plots: inout [Plot]) -> [String] {
        var parts: [String] = []
        let settings = results.settings(of: .batchSizes)
        for name in settings.map(\.workload.name).uniqued {
            let own = settings.filter { $0.workload.name == name }
            guard let workload = own.first?.workload else { continue }
            parts.append("### \(name): prompts \(workload.prompts.label), answers \(workload.outputs.label)")
            parts.append(show(bars("Queries per minute, \(name)", own, "queries/min", \.queriesPerMinute), as: "throughput-\(name)", &plots))
            parts.append(show(
                bars("Time between tokens, 99th percentile, \(name)", own, "ms") { $0.measures.interToken.map { $0.p99 * 1000 } },
                as: "inter-token-\(name)", &plots))
            parts.append(show(
                bars("Idle ratio, \(name)", own, "% of token rows") { $0.cluster.idleRatio.map { $0 * 100 } }, as: "idle-\(name)", &plots))
            if let last = own.last {
                parts.append(show(completions(of: last), as: "completion-\(name)", &plots))
            }
            parts.append(cellTable(own))
            parts.append(comparisons(own))
            parts.append(idealOverStatic(own))
            parts.append(exposedTransfer(own))
        }
        return parts
    }

    func cellTable(_ experiment: Experiment) -> String { cellTable(results.settings(of: experiment)) }
    func comparisons(_ experiment: Experiment) -> String { comparisons(results.settings(of: experiment)) }

    func cellTable(_ settings: [Cell.Setting]) -> String {
        var table = MarkdownTable(columns: [
            "workload", "B", "weights / KV", "arm", "n", "queries/min", "tok/s", "of bound", "TTFT p50, ms", "TTFT p99, ms", "ITL p50, ms",
            "ITL p99, ms", "idle, %", "stall, s", "KV exposed, % of TTFT", "KV sent, MiB", "peak KV, MiB", "peak RSS, MiB",
        ])
        for setting in settings {
            for arm in results.arms(setting) {
                func spread(_ digits: Int, _ value: (CellResult) -> Double?) -> String {
                    results.spread(setting, arm, value).text(digits)
                }
                table.append([
                    setting.workload.name, "\(setting.batch)", "\(setting.weights) / \(setting.kv)", "`\(arm.rawValue)`",
                    "\(results.runs(setting, arm).count)",
                    spread(1, \.queriesPerMinute), spread(0) { $0.measures.steadyOutputRate }, spread(2, results.boundShare),
                    spread(0) { $0.measures.serviceTime.map { $0.median * 1000 } },
                    spread(0) { $0.measures.serviceTime.map { $0.p99 * 1000 } },
                    spread(1) { $0.measures.interToken.map { $0.median * 1000 } },
                    spread(1) { $0.measures.interToken.map { $0.p99 * 1000 } },
                    spread(2) { $0.cluster.idleRatio.map { $0 * 100 } }, spread(1) { $0.cluster.stallSeconds },
                    arm.isSeparated ? spread(2) { $0.measures.exposedTransferShare * 100 } : "–",
                    arm.isSeparated ? spread(0) { $0.cluster.wireBytes.map { Double($0) / 1048576 } } : "–",
                    spread(0) { Double($0.cluster.peakKVBytes) / 1048576 },
                    spread(0) { $0.cluster.peakResidentBytes.map { Double($0) / 1048576 } },
                ])
            }
        }
        return table.rows.isEmpty ? "" : table.text
    }

    /// The arm of the house that the others are compared with: with lent cores where the build has it.
    private func champion(_ setting: Cell.Setting) -> ServingArm? {
        [ServingArm.batonLent, .baton].first { !results.runs(setting, $0).isEmpty }
    }

    func comparisons(_ settings: [Cell.Setting]) -> String {
        var table = MarkdownTable(columns: ["workload", "B", "weights / KV", "ratio", "pairs", "queries/min", "", "ITL p99"])
        for setting in settings {
            guard let own = champion(setting) else { continue }
            for other in results.arms(setting) where other != own {
                guard let speed = results.paired(setting, own, other, \.queriesPerMinute) else { continue }
                let tail = results.paired(setting, own, other) { $0.measures.interToken?.p99 }
                table.append([
                    setting.workload.name, "\(setting.batch)", "\(setting.weights) / \(setting.kv)",
                    "`\(own.rawValue)` / `\(other.rawValue)`", "\(speed.pairs)", speed.text,
                    Self.sentence(speed, own: own, other: other), tail?.text ?? "–",
                ])
            }
        }
        return table.rows.isEmpty ? "" : table.text
    }

    private static func sentence(_ ratio: PairedRatio, own: ServingArm, other: ServingArm) -> String {
        switch ratio.verdict {
        case .higher: "`\(own.rawValue)` wins"
        case .lower: "**`\(other.rawValue)` wins**"
        case .open: "open"
        }
    }

    /// What not running to completion can be worth at most in decoded rows.
    private func idealOverStatic(_ settings: [Cell.Setting]) -> String {
        let parts = settings.map { setting in
            let outputs = setting.workload.outputs
            return "B = \(setting.batch): \((outputs.expectedMaximum(of: setting.batch) / outputs.mean).plain(2))"
        }
        return "E[longest of B answers] / E[answer], the ideal over `static`: " + parts.joined(separator: ", ") + "."
    }

    private func exposedTransfer(_ settings: [Cell.Setting]) -> String {
        let shares = settings.flatMap { setting in
            results.arms(setting).filter(\.isSeparated).flatMap { results.runs(setting, $0) }.map { $0.measures.exposedTransferShare * 100 }
        }
        guard let spread = Spread(shares) else { return "" }
        return "KV on its way after the first token was known: \(spread.text(2)) % of TTFT over the runs of separated arms; the aim is at most 3 %."
    }

    // MARK: Plots

    private func bars(
        _ title: String, _ settings: [Cell.Setting], _ unit: String, _ value: (CellResult) -> Double?
    ) -> Chart {
        let arms = ServingArm.allCases.filter { arm in settings.contains { !results.runs($0, arm).isEmpty } }
        return Chart(
            title: title, horizontal: "rows of the batch", vertical: unit,
            content: .bars(
                categories: settings.map { "\($0.batch)" },
                series: arms.map { arm in
                    Chart.Bars(name: arm.rawValue, color: arm.color, values: settings.map { results.spread($0, arm, value) })
                }))
    }

    private func completions(of setting: Cell.Setting) -> Chart {
        let lines = results.arms(setting).compactMap { arm in
            results.runs(setting, arm).first.map { run in
                Chart.Line(
                    name: arm.rawValue, color: arm.color,
                    points: [Chart.Point(x: 0, y: 0)]
                        + run.measures.completions.enumerated().map { Chart.Point(x: $1, y: Double($0 + 1)) },
                    isStepped: true)
            }
        }
        return Chart(
            title: "Queries answered over time, \(setting.workload.name), batch of \(setting.batch)", horizontal: "seconds",
            vertical: "queries", content: .lines(lines))
    }

    // MARK: 3

    func notReplenished(_ plots: inout [Plot]) -> [String] {
        let settings = results.settings(of: .notReplenished)
        return [
            "B queries at once and none after them: no row that comes free is taken again, so that the gain over the other arms should shrink.",
            show(bars("Queries per minute, not replenished", settings, "queries/min", \.queriesPerMinute), as: "not-replenished", &plots),
            cellTable(settings), comparisons(settings),
        ]
    }

    // MARK: 4

    func preemption(_ plots: inout [Plot]) -> [String] {
        let settings = results.settings(of: .preemption)
        guard let loaded = settings.first(where: { $0.workload.urgentShare > 0 && $0.load == .replenished }),
            let plain = settings.first(where: { $0.workload.urgentShare == 0 }),
            let idle = settings.first(where: { $0.load == .single })
        else { return [] }
        let arms = results.arms(loaded)
        func urgent(_ setting: Cell.Setting, _ arm: ServingArm, _ value: (CellMeasures.Latency) -> Double) -> Spread? {
            results.spread(setting, arm) { $0.measures.urgentTimeToFirstToken.map { value($0) * 1000 } }
        }
        var table = MarkdownTable(columns: [
            "arm", "n", "urgent TTFT p50, ms", "p99", "alone on an idle cluster p50", "p99", "p99 over idle", "victims' time p50, s",
            "without priorities", "slowdown", "parked", "restarted",
        ])
        for arm in arms {
            let busy = urgent(loaded, arm, \.p99), quiet = urgent(idle, arm, \.p99)
            let victims = results.spread(loaded, arm) { $0.measures.ordinaryDuration?.median }
            let without = results.spread(plain, arm) { $0.measures.ordinaryDuration?.median }
            func ratio(_ a: Spread?, _ b: Spread?) -> String {
                guard let a, let b, b.median > 0 else { return "–" }
                return (a.median / b.median).plain(2)
            }
            table.append([
                "`\(arm.rawValue)`", "\(results.runs(loaded, arm).count)", urgent(loaded, arm, \.median).text(0), busy.text(0),
                urgent(idle, arm, \.median).text(0), quiet.text(0), ratio(busy, quiet), victims.text(2), without.text(2),
                ratio(victims, without), results.spread(loaded, arm) { $0.cluster.preemptions.map(Double.init) }.text(0),
                results.spread(loaded, arm) { Double($0.measures.retriedCount) }.text(0),
            ])
        }
        return [
            "\((loaded.workload.urgentShare * 100).plain(0)) % of the queries have high priority, in a closed loop that keeps the batch full. Here TTFT counts from the "
                + "submission, as an urgent client would. *Restarted*: queries that were prefilled again, whatever the cause.",
            show(latency(arms, loaded, idle), as: "preemption", &plots), table.rows.isEmpty ? "" : table.text,
        ]
    }

    private func latency(_ arms: [ServingArm], _ loaded: Cell.Setting, _ idle: Cell.Setting) -> Chart {
        func bars(_ name: String, _ color: Int, _ setting: Cell.Setting, _ value: (CellMeasures.Latency) -> Double) -> Chart.Bars {
            Chart.Bars(name: name, color: color, values: arms.map { arm in
                results.spread(setting, arm) { $0.measures.urgentTimeToFirstToken.map { value($0) * 1000 } }
            })
        }
        return Chart(
            title: "Time to the first token of urgent queries", horizontal: "arm", vertical: "ms",
            content: .bars(
                categories: arms.map(\.rawValue),
                series: [
                    bars("idle cluster, median", 4, idle, \.median), bars("idle cluster, p99", 5, idle, \.p99),
                    bars("full load, median", 2, loaded, \.median), bars("full load, p99", 6, loaded, \.p99),
                ]))
    }

    // MARK: 5

    func memory(_ plots: inout [Plot]) -> [String] {
        let settings = results.settings(of: .memory)
        guard let free = settings.first(where: { $0.memoryShare == nil }) else { return [] }
        var table = MarkdownTable(columns: [
            "arm", "KV memory", "n", "queries/min", "over unconstrained", "restarted", "parked", "peak KV, MiB", "peak parked, MiB",
        ])
        for arm in results.arms(free) {
            for setting in settings where !results.runs(setting, arm).isEmpty {
                let share = setting.memoryShare.map { "\(($0 * 100).plain(0)) %" } ?? "unconstrained"
                let base = results.spread(free, arm, \.queriesPerMinute), own = results.spread(setting, arm, \.queriesPerMinute)
                let ratio = base.flatMap { base in own.map { ($0.median / base.median).plain(2) } } ?? "–"
                table.append([
                    "`\(arm.rawValue)`", share, "\(results.runs(setting, arm).count)", own.text(1), ratio,
                    results.spread(setting, arm) { Double($0.measures.retriedCount) }.text(0),
                    results.spread(setting, arm) { $0.cluster.preemptions.map(Double.init) }.text(0),
                    results.spread(setting, arm) { Double($0.cluster.peakKVBytes) / 1048576 }.text(0),
                    results.spread(setting, arm) { $0.cluster.peakParkedBytes.map { Double($0) / 1048576 } }.text(0),
                ])
            }
        }
        let arm = champion(free)
        let chart = Chart(
            title: "KV memory in use\(arm.map { ", \($0.rawValue)" } ?? "")", horizontal: "seconds", vertical: "MiB",
            content: .lines(settings.enumerated().compactMap { number, setting in
                guard let arm, let run = results.runs(setting, arm).first else { return nil }
                let name = setting.memoryShare.map { "\(($0 * 100).plain(0)) %" } ?? "unconstrained"
                return Chart.Line(
                    name: name, color: [0, 4, 2, 6][number % 4],
                    points: run.cluster.memory.map { Chart.Point(x: $0.seconds, y: Double($0.kvBytes) / 1048576) })
            }))
        return [
            "Blocks of the decode side as a share of the most that the unconstrained run of the same arm used. *Restarted*: queries that were "
                + "prefilled again; *parked*: times that KV was put aside.",
            show(chart, as: "memory", &plots), table.rows.isEmpty ? "" : table.text,
        ]
    }

    // MARK: 8

    var longSession: [String] {
        guard let outcome = results.longSession else { return [] }
        var table = MarkdownTable(columns: ["", "first tenth", "last tenth"])
        table.append(["insertion (blocks and table), ns", outcome.firstInsertion.plain(0), outcome.lastInsertion.plain(0)])
        table.append(["removal, ns", outcome.firstRemoval.plain(0), outcome.lastRemoval.plain(0)])
        table.append(["neighbouring blocks that are neighbours in memory", outcome.firstContiguity.plain(2), outcome.lastContiguity.plain(2)])
        return [
            "\(outcome.queries) queries of drawn lengths through a batch of \(outcome.rows) rows and the workers' own block pool of \(outcome.blocks) blocks, "
                + "without an engine. Queries refused though enough blocks were free: \(outcome.fragmentationLosses). Places for tokens in "
                + "blocks in use that held none: \((outcome.innerWaste * 100).plain(1)) % on average.",
            table.text,
        ]
    }
}

extension ServingArm {
    /// Place in the palette of the plots.
    fileprivate var color: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

extension PairedRatio {
    var text: String {
        guard let interval else { return "\(ratio.plain(2)) (one pair)" }
        return "\(ratio.plain(2)) [\(interval.lowerBound.plain(2)), \(interval.upperBound.plain(2))]"
    }
}

extension [String] {
    /// Each once, in order.
    fileprivate var uniqued: [String] {
        var seen: Set<String> = []
        return filter { seen.insert($0).inserted }
    }
}
