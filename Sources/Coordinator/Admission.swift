import ClusterCore
import Generation
import Tokenizer

/// Turns what a client states into what the scheduler takes, or says what is wrong with it.
struct Admission: Sendable {
    let tokenizer: Tokenizer
    /// Ids that end an answer unless the client ignores them.
    let endTokens: [TokenID]
    /// Tokens of the model's vocabulary, which may have room beyond the tokenizer's.
    let vocabularySize: Int
    /// Tokens of prompt and answer together.
    let maxModelLength: Int

    struct Admitted: Sendable {
        var prompt: [TokenID]
        var sampling: SamplingParameters
        var stop: StopConditions
    }

    /// - Throws: a ``RequestFailure`` with ``RequestFailure/Code/invalid`` that names the parameter.
    func admit(_ submission: Submission, drawnSeed: UInt64) throws(RequestFailure) -> Admitted {
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
