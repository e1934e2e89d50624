import ClusterCore

/// How long planning takes on this machine.
public struct PlanningTiming: Sendable, Codable {
    public var prompts: Int
    public var promptTokens: Int
    public var groups: Int
    /// Of the planning alone.
    public var seconds: Double
    /// Share of what can be saved that the groups save.
    public var shareOfMost: Double

    /// Prompts of 200 tokens in groups of 16, of which 160 are the group's and 20 everybody's, in random order.
    public static func measure(count: Int, seed: UInt64) -> PlanningTiming {
        let workload = PrefixWorkload(
            name: "timing", count: count, degree: 16, outer: 20, prefix: 160, distinct: 20, outputs: .uniform(least: 10, greatest: 1000))
        let queries = workload.queries(seed: seed, vocabularySize: 32_000)
        let prompts = queries.map(\.prompt), lengths = queries.map(\.outputCount)
        let began = ContinuousClock.now
        let plan = BatchPlanner.plan(prompts: prompts, expectedAnswerLengths: lengths)
        let seconds = began.duration(to: .now) / .seconds(1)
        return PlanningTiming(
            prompts: count, promptTokens: plan.promptTokens, groups: plan.groups.count, seconds: seconds,
            shareOfMost: plan.mostSavedTokens > 0 ? Double(plan.savedTokens) / Double(plan.mostSavedTokens) : 1)
    }
}
