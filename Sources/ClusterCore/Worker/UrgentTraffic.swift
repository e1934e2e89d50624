import Generation

/// Whether queries come that are more urgent than those of the lowest priority, and what these may take of a step then.
///
/// A step cannot be broken off: whoever comes while one runs waits for its end. While others come now and then, prompts of batch jobs
/// are therefore computed in smaller pieces; with nobody else about, in large ones, which read the weights less often.
struct UrgentTraffic: Sendable {
    /// How long nobody has to have come before nobody is expected.
    private static let memory = Duration.seconds(10)
    /// Of a step's tokens, and the least that is worth a step.
    private static let backgroundShare = 8, leastTokens = 16

    private var last: Instant?

    mutating func note(_ priority: Priority, at now: Instant) {
        if priority > .low { last = now }
    }

    /// Tokens of the lowest priority in a step of so many.
    func backgroundTokens(of stepTokens: Int, at now: Instant) -> Int {
        guard let last, now - last < Self.memory else { return stepTokens }
        return min(stepTokens, max(Self.leastTokens, stepTokens / Self.backgroundShare))
    }
}
