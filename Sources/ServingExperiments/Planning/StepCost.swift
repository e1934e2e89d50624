/// What a step takes: an engine in three numbers, to be measured on a real one (`baton bench engine`).
public struct StepCost: Sendable, Hashable, Codable {
    /// Seconds of any step: weights are read once.
    public var perStep: Double
    /// Seconds of each token computed, of prompts and of answers.
    public var perToken: Double
    /// Seconds of each token of context that attention of a row reads.
    public var perContextToken: Double

    /// - Parameters:
    ///   - prefillRate: tokens of prompts per second.
    ///   - stepSeconds: of a step with a single row and hardly any context.
    ///   - contextRate: tokens of context that attention reads per second.
    public init(prefillRate: Double, stepSeconds: Double, contextRate: Double) {
        perToken = 1 / prefillRate
        perStep = max(0, stepSeconds - perToken)
        perContextToken = 1 / contextRate
    }

    func seconds(tokens: Int, contextTokens: Int) -> Double {
        perStep + perToken * Double(tokens) + perContextToken * Double(contextTokens)
    }
}
