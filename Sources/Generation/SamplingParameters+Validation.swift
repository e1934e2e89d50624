/// A sampling parameter outside its range.
public struct InvalidSampling: Error, Sendable, Hashable, CustomStringConvertible {
    /// As the API spells it, e.g. `top_p`.
    public let parameter: String
    public let problem: String

    public var description: String { "\(parameter) \(problem)" }
}

extension SamplingParameters {
    /// - Throws: ``InvalidSampling`` for the first parameter outside its range; such a request is never accepted.
    public func validate() throws(InvalidSampling) {
        try Self.check("temperature", temperature, in: 0...100)
        try Self.check("top_p", topP, in: 0...1, open: true)
        try Self.check("min_p", minP, in: 0...1)
        try Self.check("repetition_penalty", repetitionPenalty, in: 0...100, open: true)
        try Self.check("presence_penalty", presencePenalty, in: -100...100)
        try Self.check("frequency_penalty", frequencyPenalty, in: -100...100)
        guard topK >= 0 else {
            throw InvalidSampling(parameter: "top_k", problem: "must not be negative, but is \(topK)")
        }
        try checkBias()
    }

    /// Tokens that may have a bias.
    public static let maxBiasedTokens = 1024

    private func checkBias() throws(InvalidSampling) {
        guard logitBias.count <= Self.maxBiasedTokens else {
            throw InvalidSampling(
                parameter: "logit_bias", problem: "may name \(Self.maxBiasedTokens) tokens, but names \(logitBias.count)")
        }
        for entry in logitBias { try Self.check("logit_bias", entry.bias, in: -100...100) }
        if let pair = zip(logitBias, logitBias.dropFirst()).first(where: { $0.token >= $1.token }) {
            throw InvalidSampling(
                parameter: "logit_bias", problem: "must ascend by token, but \(pair.1.token) follows \(pair.0.token)")
        }
    }

    /// `open` leaves the lower bound itself out. A value that is not a number is in no range.
    private static func check(
        _ parameter: String, _ value: Float, in range: ClosedRange<Float>, open: Bool = false
    ) throws(InvalidSampling) {
        guard range.contains(value), !(open && value == range.lowerBound) else {
            let lower = open ? "above \(range.lowerBound)" : "at least \(range.lowerBound)"
            throw InvalidSampling(
                parameter: parameter, problem: "must be \(lower) and at most \(range.upperBound), but is \(value)")
        }
    }
}
