/// The vocabulary of a generation: exactly what an answer depends on, and nothing else.
///
/// A request's answer is a function of the model, the prompt, the ``SamplingParameters`` and the seed in
/// them. Every layer that has to name one of these, from the sampler up to the wire, uses these types.

/// Index of a token in the model's vocabulary.
public typealias TokenID = Int32

/// How the next token is chosen from the logits.
public struct SamplingParameters: Sendable, Hashable {
    /// 0 selects greedy decoding (the lowest token id among equal maxima); otherwise logits are divided by it.
    public var temperature: Float
    /// Nucleus: keep the smallest set of most probable tokens whose probability reaches `topP`; 1 keeps all.
    public var topP: Float
    /// Keep the `topK` most probable tokens; 0 keeps all.
    public var topK: Int32
    /// Drop tokens less probable than `minP` times the most probable one; 0 keeps all.
    public var minP: Float
    /// Divides positive and multiplies negative logits of tokens seen in prompt or answer; 1 is neutral.
    public var repetitionPenalty: Float
    /// Subtracted once from the logit of every token that the answer already holds.
    public var presencePenalty: Float
    /// Subtracted from a token's logit once per time that the answer already holds it.
    public var frequencyPenalty: Float
    /// Added to the logits of single tokens, before penalties. Ascending by token, each token once.
    public var logitBias: [TokenBias]
    /// Key of the counter-based random generator, together with choice, token index and draw.
    public var seed: UInt64
    /// Which of the request's answers this is, from 0.
    public var choice: UInt32

    public init(
        temperature: Float = 1, topP: Float = 1, topK: Int32 = 0, minP: Float = 0,
        repetitionPenalty: Float = 1, presencePenalty: Float = 0, frequencyPenalty: Float = 0,
        logitBias: [TokenBias] = [], seed: UInt64 = 0, choice: UInt32 = 0
    ) {
        self.temperature = temperature
        self.topP = topP
        self.topK = topK
        self.minP = minP
        self.repetitionPenalty = repetitionPenalty
        self.presencePenalty = presencePenalty
        self.frequencyPenalty = frequencyPenalty
        self.logitBias = logitBias
        self.seed = seed
        self.choice = choice
    }

    public static let greedy = SamplingParameters(temperature: 0)

    /// Whether the history of the answer or the prompt changes the logits.
    public var usesPenalties: Bool {
        repetitionPenalty != 1 || presencePenalty != 0 || frequencyPenalty != 0
    }
}

/// Something added to the logit of one token.
public struct TokenBias: Sendable, Hashable {
    public var token: TokenID
    public var bias: Float

    public init(token: TokenID, bias: Float) {
        self.token = token
        self.bias = bias
    }
}

/// When an answer ends by the tokens alone. (Stop strings live in text and are the coordinator's business.)
public struct StopConditions: Sendable, Hashable {
    /// Greatest number of tokens to generate; 0 for a request that only has its prompt scored.
    public var maxTokens: Int32
    /// Tokens before which neither an end token nor a stop string ends the answer: end tokens are not sampled until then.
    public var minTokens: Int32
    /// Token ids that end the answer; the ending token itself belongs to the tokens, not to the text.
    public var endTokens: [TokenID]

    public init(maxTokens: Int32, minTokens: Int32 = 0, endTokens: [TokenID] = []) {
        self.maxTokens = maxTokens
        self.minTokens = minTokens
        self.endTokens = endTokens
    }

    /// Tokens that must not be sampled as number `index`.
    public func maskedTokens(at index: Int32) -> [TokenID] { index < minTokens ? endTokens : [] }

    /// The reason to end after `token` was generated as number `index` (from 0), or `nil` to go on.
    public func finishReason(after token: TokenID, at index: Int32) -> FinishReason? {
        if index >= minTokens, endTokens.contains(token) { return .stop }
        return index + 1 >= maxTokens ? .length : nil
    }
}

/// Why an answer is complete.
public enum FinishReason: String, Sendable, Hashable, CaseIterable {
    /// The model ended it, or a stop string was met.
    case stop
    /// It reached its greatest length.
    case length
}
