import Generation

/// What the engine computes in one go on a prefill worker: chunks of one or more prompts, one ragged token batch.
public struct PrefillStep: Sendable, Hashable {
    /// In order of rank; every attempt at most once.
    public var chunks: [Chunk]

    public struct Chunk: Sendable, Hashable {
        public var attempt: AttemptID
        /// Tokens to compute; a slice of the whole sequence, not a copy.
        public var tokens: ArraySlice<TokenID>
        /// Position of the first of `tokens`.
        public var start: Int
        /// Blocks of the whole sequence; position `p` lives in `blockTable[p / blockSize]`.
        public var blockTable: [BlockID]
        /// Set when the chunk ends the sequence, so that the next token is sampled from its last row.
        public var sampling: SamplingContext?
    }

    public var tokenCount: Int { chunks.reduce(0) { $0 + $1.tokens.count } }
}

extension PrefillStep.Chunk {
    init(_ chunk: PrefillQueue.Chunk, of order: SequenceOrder, in blocks: [BlockID]) {
        attempt = order.attempt
        tokens = order.tokens[chunk.range]
        start = chunk.range.lowerBound
        blockTable = blocks
        guard chunk.endsPrompt else { return }
        sampling = SamplingContext(
            parameters: order.sampling, index: order.firstIndex,
            history: order.sampling.usesPenalties ? order.tokens : nil, promptCount: order.promptCount)
    }
}

/// What the sampler needs to know besides the logits.
public struct SamplingContext: Sendable, Hashable {
    public var parameters: SamplingParameters
    /// Place in the answer of the token to sample; part of the random generator's key.
    public var index: Int32
    /// Prompt and answer so far. Only for parameters that use penalties; shared storage, never a copy.
    public var history: [TokenID]?
    /// Length of the prompt within `history`.
    public var promptCount: Int

    public init(parameters: SamplingParameters, index: Int32, history: [TokenID]?, promptCount: Int) {
        self.parameters = parameters
        self.index = index
        self.history = history
        self.promptCount = promptCount
    }
}

/// Why no token could be sampled, e.g. a logit that is not a number.
public struct SampleFailure: Error, Sendable, Hashable {
    public var message: String
    public init(_ message: String) { self.message = message }
}

/// One row's outcome of a step.
public struct Sample: Sendable, Hashable {
    /// As in the step, even if the attempt was cancelled or renamed meanwhile.
    public var attempt: AttemptID
    public var token: Result<TokenID, SampleFailure>

    public init(attempt: AttemptID, token: Result<TokenID, SampleFailure>) {
        self.attempt = attempt
        self.token = token
    }
}
