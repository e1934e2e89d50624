/// What the experiments on planning found, as data and as tables.
public struct PlanningReport: Sendable, Codable {
    struct Arm: Sendable, Codable {
        var degree: Int
        var arm: BatchArm
        /// Share of the prompt tokens.
        var ideal: Double
        var outcome: PlanningOutcome
    }

    struct Levels: Sendable, Codable {
        var degree: Int
        var ideal: Double
        /// Of the most that can be saved, what each grouping saves on one level.
        var shares: [String: Double]
        /// With all levels shared.
        var outcome: PlanningOutcome
    }

    struct Memory: Sendable, Codable {
        var share: Double
        var degree: Int
        var arm: BatchArm
        var ideal: Double
        var outcome: PlanningOutcome
    }

    struct Order: Sendable, Codable {
        var name: String
        var outcome: PlanningOutcome
    }

    struct Admission: Sendable, Codable {
        var name: String
        /// Blocks.
        var memory: Int
        var outcome: PlanningOutcome
    }

    var unit: Int
    var count: Int
    var stepTokens: Int
    var arms: [Arm]
    var levels: [Levels]
    var memory: [Memory]
    var orders: [Order]
    var admissions: [Admission]
    /// Depends on the machine, unlike all else.
    public var timing: PlanningTiming?

    /// Markdown.
    public var text: String {
        [armTable, levelTable, memoryTable, orderTable, admissionTable, timingLine].compactMap(\.self).joined(separator: "\n\n")
    }

    private func percent(_ share: Double) -> String { (share * 100).plain(1) + " %" }

    private func ofIdeal(_ outcome: PlanningOutcome, _ ideal: Double) -> String { ideal > 0 ? percent(outcome.saving / ideal) : "–" }

    private var armTable: String {
        var table = MarkdownTable(columns: ["degree", "arm", "ideal saving", "saving", "of ideal", "output tok/s", "× none", "× lru"])
        for row in arms {
            func ratio(to arm: BatchArm) -> String {
                guard let other = arms.first(where: { $0.arm == arm && $0.degree == row.degree }) else { return "–" }
                return (row.outcome.outputRate / other.outcome.outputRate).plain(2)
            }
            table.append([
                "\(row.degree)", "`\(row.arm.rawValue)`", percent(row.ideal), percent(row.outcome.saving), ofIdeal(row.outcome, row.ideal),
                row.outcome.outputRate.plain(0), ratio(to: .none), ratio(to: .lru),
            ])
        }
        return """
            ### 1. Arms

            \(count) prompts of \(unit) + \(unit / 10) tokens, \(unit / 20) to answer.

            \(table.text)
            """
    }

    private var levelTable: String {
        var table = MarkdownTable(
            columns: ["degree", "ideal saving", "first level only", "BatchLLM's rule", "best choice", "run with all levels shared"])
        for row in levels {
            func share(_ name: String) -> String { row.shares[name].map(percent) ?? "–" }
            table.append([
                "\(row.degree)", percent(row.ideal), share("first-level"), share("promoted"), share("optimal"),
                ofIdeal(row.outcome, row.ideal),
            ])
        }
        return """
            ### 2. Two levels

            \(unit / 10) tokens shared by all, \(unit) by each group. Shares of the ideal saving.

            \(table.text)
            """
    }

    private var memoryTable: String {
        var table = MarkdownTable(
            columns: ["memory", "degree", "arm", "saving of ideal", "output tok/s", "sent back", "evicted", "evicted too early"])
        for row in memory {
            table.append([
                percent(row.share), "\(row.degree)", "`\(row.arm.rawValue)`", ofIdeal(row.outcome, row.ideal), row.outcome.outputRate.plain(0),
                "\(row.outcome.preemptions)", "\(row.outcome.evictions)", "\(row.outcome.prematureEvictions)",
            ])
        }
        return "### 3. KV memory\n\n" + table.text
    }

    private var orderTable: String {
        var table = MarkdownTable(
            columns: ["order", "seconds", "output tok/s", "tokens per step", "steps below half of the budget", "sent back"])
        for row in orders {
            table.append([
                row.name, row.outcome.seconds.plain(1), row.outcome.outputRate.plain(0), row.outcome.meanStepTokens.plain(1),
                percent(row.outcome.thinSteps(budget: stepTokens)), "\(row.outcome.preemptions)",
            ])
        }
        return "### 4. Order\n\nAnswers of U[\(max(unit / 200, 1)), \(unit / 2)] tokens, degree 8, half of the memory.\n\n" + table.text
    }

    private var admissionTable: String {
        var table = MarkdownTable(columns: ["admitted by", "seconds", "output tok/s", "sent back", "tokens again", "peak of memory"])
        for row in admissions {
            table.append([
                row.name, row.outcome.seconds.plain(1), row.outcome.outputRate.plain(0), "\(row.outcome.preemptions)",
                "\(row.outcome.recomputedTokens)", percent(Double(row.outcome.peakBlocks) / Double(max(row.memory, 1))),
            ])
        }
        return "### 5. Admission\n\nThe same job; only the limit of the answers is known beforehand.\n\n" + table.text
    }

    private var timingLine: String? {
        timing.map { timing in
            "Planning \(timing.prompts) prompts (\(timing.promptTokens) tokens) took \(timing.seconds.plain(1)) s: \(timing.groups) groups, "
                + "\(percent(timing.shareOfMost)) of what can be saved."
        }
    }
}
