import Generation

/// What an RPC client tells the coordinator. `key` is the client's own number for a request.
public enum ClientMessage: Sendable, Hashable {
    case hello(clientName: String)
    case submit(key: UInt64, Submission)
    case cancel(key: UInt64)
    /// Every second, so that the coordinator knows who is still there; answered by ``ServerMessage/pong(_:)``.
    case ping
    case status
    /// Stream ``ClusterEvent``s until the connection ends.
    case watch
}

public enum Prompt: Sendable, Hashable {
    case text(String)
    case tokens([TokenID])
}

/// A request as a client states it.
public struct Submission: Sendable, Hashable {
    public var prompt: Prompt
    /// The seed inside counts only when `seed` is set.
    public var sampling: SamplingParameters
    /// `nil`: the coordinator draws one and returns it.
    public var seed: UInt64?
    /// `nil`: as many as the model's length and the configuration allow. 0: nothing is generated, only the prompt scored.
    public var maxTokens: Int32?
    /// Tokens before which neither an end token nor a stop string ends the answer.
    public var minTokens: Int32
    public var stopStrings: [String]
    /// The stop string that ended the answer belongs to its text.
    public var includesStopString: Bool
    /// End the answer, besides the model's own end tokens.
    public var stopTokens: [TokenID]
    public var ignoreEndTokens: Bool
    /// Special tokens that belong to the text of an answer, of which others are left out: those that mark calls of tools.
    public var keptTokens: [TokenID]
    /// Answers wanted, each with random numbers of its own; at most ``maxChoices``.
    public var choices: Int32
    /// Wants the log-probability of every token of the answer, and of so many of the most probable in its place.
    public var logprobs: Int32?
    /// The same for every token of the prompt but the first.
    public var promptLogprobs: Int32?
    /// What the answers must conform to.
    public var constraint: Constraint?
    public var priority: Priority
    /// Prefixes are shared only among requests of the same salt; empty for those without one. At most
    /// ``maxCacheSaltBytes``.
    public var cacheSalt: String
    /// Requests of a planned batch that begin with the same tokens.
    public var group: PrefixGroup?
    /// From acceptance to the last token; `nil` waits for ever.
    public var timeout: Duration?

    public static let maxChoices: Int32 = 128
    public static let maxStopTokens = 64
    /// In UTF-8.
    public static let maxCacheSaltBytes = 128
    public static let maxKeptTokens = 16

    public init(
        prompt: Prompt, sampling: SamplingParameters, seed: UInt64? = nil, maxTokens: Int32? = nil,
        minTokens: Int32 = 0, stopStrings: [String] = [], includesStopString: Bool = false, stopTokens: [TokenID] = [],
        ignoreEndTokens: Bool = false, keptTokens: [TokenID] = [], choices: Int32 = 1, logprobs: Int32? = nil, promptLogprobs: Int32? = nil,
        constraint: Constraint? = nil, priority: Priority = .normal, cacheSalt: String = "", group: PrefixGroup? = nil,
        timeout: Duration? = nil
    ) {
        self.prompt = prompt
        self.sampling = sampling
        self.seed = seed
        self.maxTokens = maxTokens
        self.minTokens = minTokens
        self.stopStrings = stopStrings
        self.includesStopString = includesStopString
        self.stopTokens = stopTokens
        self.ignoreEndTokens = ignoreEndTokens
        self.keptTokens = keptTokens
        self.choices = choices
        self.logprobs = logprobs
        self.promptLogprobs = promptLogprobs
        self.constraint = constraint
        self.priority = priority
        self.cacheSalt = cacheSalt
        self.group = group
        self.timeout = timeout
    }
}
