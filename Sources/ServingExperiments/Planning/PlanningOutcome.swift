/// What a job took in virtual time.
struct PlanningOutcome: Sendable, Hashable, Codable {
    var seconds = 0.0
    var steps = 0
    var promptTokens = 0
    var outputTokens = 0
    /// Prompt tokens computed, those that were computed again among them.
    var prefilledTokens = 0
    /// Answer tokens that had been computed for rows sent back.
    var recomputedTokens = 0
    var preemptions = 0
    var peakBlocks = 0
    var evictions = 0
    /// Of blocks that several prompts have and one still to come would have used.
    var prematureEvictions = 0
    /// Planned ones with two members or more.
    var groupCount = 0
    /// Tokens of each step, those of answers and those of prompts.
    private(set) var decoded: [Int] = []
    private(set) var prefilled: [Int] = []

    mutating func note(decoded: Int, prefilled: Int, seconds: Double) {
        self.seconds += seconds
        steps += 1
        prefilledTokens += prefilled
        self.decoded.append(decoded)
        self.prefilled.append(prefilled)
    }

    /// Share of the prompt tokens that were not computed; below 0 if more was computed than there is.
    var saving: Double { 1 - Double(prefilledTokens) / Double(promptTokens) }
    var outputRate: Double { Double(outputTokens) / seconds }

    /// Tokens of a step, on average.
    var meanStepTokens: Double { Double(zip(decoded, prefilled).reduce(0) { $0 + $1.0 + $1.1 }) / Double(max(steps, 1)) }

    /// Share of the steps with less than half of `budget`: weights read for little.
    func thinSteps(budget: Int) -> Double {
        Double(zip(decoded, prefilled).count { 2 * ($0 + $1) < budget }) / Double(max(steps, 1))
    }
}
