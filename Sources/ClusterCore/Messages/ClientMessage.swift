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
    /// `nil`: as many as the model's length and the configuration allow.
    public var maxTokens: Int32?
    public var stopStrings: [String]
    public var ignoreEndTokens: Bool
    public var priority: Priority
    /// From acceptance to the last token; `nil` waits for ever.
    public var timeout: Duration?

    public init(
        prompt: Prompt, sampling: SamplingParameters, seed: UInt64? = nil, maxTokens: Int32? = nil,
        stopStrings: [String] = [], ignoreEndTokens: Bool = false, priority: Priority = .normal,
        timeout: Duration? = nil
    ) {
        self.prompt = prompt
        self.sampling = sampling
        self.seed = seed
        self.maxTokens = maxTokens
        self.stopStrings = stopStrings
        self.ignoreEndTokens = ignoreEndTokens
        self.priority = priority
        self.timeout = timeout
    }
}
