import ClusterCore
import Generation
import Inference
import Tokenizer

/// Turns what a client states into what the scheduler takes, or says what is wrong with it.
public struct Admission: Sendable {
    public let tokenizer: Tokenizer
    /// Ids that end an answer unless the client ignores them.
    public let endTokens: [TokenID]
    /// Tokens of the model's vocabulary, which may have room beyond the tokenizer's.
    let vocabularySize: Int
    /// Tokens of prompt and answer together.
    public let maxModelLength: Int

    public struct Admitted: Sendable {
        public var prompt: [TokenID]
        public var sampling: SamplingParameters
        public var stop: StopConditions
    }

    /// - Parameter maxModelLength: at most what the model allows.
    public init(tokenizer: Tokenizer, configuration: ModelConfiguration, maxModelLength: Int) {
        self.tokenizer = tokenizer
        var endTokens = configuration.endTokens
        if let end = tokenizer.eosToken, !endTokens.contains(end) { endTokens.append(end) }
        self.endTokens = endTokens
        vocabularySize = configuration.vocabularySize
        self.maxModelLength = min(maxModelLength, configuration.maxPositions)
    }

    /// - Throws: a ``RequestFailure`` with ``RequestFailure/Code/invalid`` that names the parameter.
    public func admit(_ submission: Submission, drawnSeed: UInt64) throws(RequestFailure) -> Admitted {
        var sampling = submission.sampling
        sampling.seed = submission.seed ?? drawnSeed
        do {
            try sampling.validate()
        } catch {
            throw Self.invalid("\(error)")
        }
        let prompt = try tokens(of: submission.prompt)
        guard !prompt.isEmpty else { throw Self.invalid("prompt: has no tokens") }
        let room = maxModelLength - prompt.count
        guard room >= 1 else {
            throw Self.invalid("prompt: has \(prompt.count) tokens, which leaves no room in the model's \(maxModelLength)")
        }
        let maxTokens = submission.maxTokens.map(Int.init) ?? room
        guard maxTokens >= 1 else { throw Self.invalid("max_tokens: must be at least 1, but is \(maxTokens)") }
        guard maxTokens <= room else {
            throw Self.invalid(
                "max_tokens: \(maxTokens) and a prompt of \(prompt.count) tokens exceed the model's \(maxModelLength)")
        }
        return Admitted(
            prompt: prompt, sampling: sampling,
            stop: StopConditions(
                maxTokens: Int32(maxTokens), endTokens: submission.ignoreEndTokens ? [] : endTokens))
    }

    private func tokens(of prompt: Prompt) throws(RequestFailure) -> [TokenID] {
        switch prompt {
        case .text(let text):
            do {
                return try tokenizer.encode(text)
            } catch {
                throw Self.invalid("prompt: \(error)")
            }
        case .tokens(let tokens):
            if let stranger = tokens.first(where: { $0 < 0 || $0 >= vocabularySize }) {
                throw Self.invalid("prompt: token \(stranger) is outside the vocabulary of \(vocabularySize)")
            }
            return tokens
        }
    }

    private static func invalid(_ message: String) -> RequestFailure {
        RequestFailure(code: .invalid, message: message)
    }
}
