/// A token and the logarithm (base e) of its probability.
public struct TokenLogprob: Sendable, Hashable {
    public var token: TokenID
    public var logprob: Float

    public init(token: TokenID, logprob: Float) {
        self.token = token
        self.logprob = logprob
    }
}

/// How probable a token was in its place, and what else was probable there.
///
/// Logarithms are those of the model's own distribution: the log-softmax of the raw logits, before bias, masks, penalties,
/// temperature and whatever else changes what is sampled (as OpenAI's and vLLM's are by default).
public struct TokenLogprobs: Sendable, Hashable {
    /// The most probable tokens that one can ask for.
    public static let maxTop = 20

    /// Of the token itself.
    public var logprob: Float
    /// The most probable tokens, most probable first, the lower id first among equals.
    public var top: [TokenLogprob]

    public init(logprob: Float, top: [TokenLogprob] = []) {
        self.logprob = logprob
        self.top = top
    }
}

/// A token of a prompt or an answer, with its probability if that was asked for. The first token of a prompt has none.
public struct ScoredToken: Sendable, Hashable {
    public var token: TokenID
    public var logprobs: TokenLogprobs?

    public init(_ token: TokenID, _ logprobs: TokenLogprobs? = nil) {
        self.token = token
        self.logprobs = logprobs
    }
}
