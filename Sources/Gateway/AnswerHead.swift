import ClusterCore

/// What every object of an answer begins with.
struct AnswerHead: Sendable {
    /// `cmpl-…` or `chatcmpl-…`; the same in all chunks.
    var id: String
    /// What the id was made of.
    var seed: UInt64
    /// Seconds since 1970.
    var created: Int
    var model: String
    /// Digest of the numerics class: equal fingerprint, model, parameters and seed give equal answers.
    var fingerprint: String?

    func membersBeforeChoices(_ kind: String) -> [JSONText.Member] {
        [
            .init(name: "id", value: .string(id)), .init(name: "object", value: .string(kind)),
            .init(name: "created", value: .integer(created)), .init(name: "model", value: .string(model)),
        ]
    }

    var membersAfterChoices: [JSONText.Member] {
        // OpenAI's schema knows no null here.
        fingerprint.map { [.init(name: "system_fingerprint", value: .string($0))] } ?? []
    }

    func object(_ kind: String, choices: [JSONText]) -> JSONText {
        .object(membersBeforeChoices(kind) + [.init(name: "choices", value: .array(choices))] + membersAfterChoices)
    }
}

/// Tokens that a request has taken.
struct Usage: Sendable, Hashable {
    var promptTokens = 0
    /// Of all choices.
    var completionTokens = 0
    /// Prompt tokens whose KV did not have to be computed.
    var cachedTokens = 0

    var json: JSONText {
        [
            "prompt_tokens": .integer(promptTokens), "completion_tokens": .integer(completionTokens),
            "total_tokens": .integer(promptTokens + completionTokens),
            "prompt_tokens_details": ["cached_tokens": .integer(cachedTokens)],
        ]
    }

    /// What an event adds.
    mutating func count(_ event: AnswerEvent.Kind) {
        switch event {
        case .accepted(let acceptance): promptTokens += Int(acceptance.promptCount)
        case .prompt: break
        case .tokens(_, _, let tokens, _): completionTokens += tokens.count
        case .finished(let choice, let completion):
            // Choices share their prompt.
            if choice == 0 { cachedTokens += Int(completion.cachedTokenCount) }
        }
    }
}
