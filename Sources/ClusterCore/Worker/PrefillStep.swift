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
        /// What is sampled from the chunk's last row: something only if it ends the sequence, one token for each choice.
        public var samples: [SampleOrder] = []
        public var scoring: ChunkScoring?

        public var sampling: SamplingContext? { samples.first?.context }
    }

    public var tokenCount: Int { chunks.reduce(0) { $0 + $1.tokens.count } }
}

extension PrefillStep.Chunk {
    init(_ chunk: PrefillQueue.Chunk, of order: SequenceOrder, in blocks: [BlockID]) {
        attempt = order.attempt
        tokens = order.tokens[chunk.range]
        start = chunk.range.lowerBound
        blockTable = blocks
        scoring = ChunkScoring(of: order, in: chunk.range)
        guard chunk.endsPrompt, order.stop.maxTokens > 0 else { return }
        if order.forks.isEmpty {
            samples = [SampleOrder(attempt: order.attempt, context: SamplingContext(order))]
        } else {
            samples = order.forks.map {
                var context = SamplingContext(order)
                context.parameters.choice = $0.choice
                return SampleOrder(attempt: $0.attempt, context: context)
            }
        }
    }
}

/// A token to sample, and whose it is.
public struct SampleOrder: Sendable, Hashable {
    public var attempt: AttemptID
    public var context: SamplingContext

    public init(attempt: AttemptID, context: SamplingContext) {
        self.attempt = attempt
        self.context = context
    }
}

/// Tokens of a prompt to be scored from rows of one chunk: each from the row before it.
public struct ChunkScoring: Sendable, Hashable {
    /// Position of the first of `targets`; never 0.
    public var first: Int
    public var targets: ArraySlice<TokenID>
    /// So many of the most probable tokens in each place are told too.
    public var top: Int

    /// `nil` if rows `range` score nothing that is wanted.
    init?(of order: SequenceOrder, in range: Range<Int>) {
        guard let scoring = order.scoring else { return nil }
        let first = max(scoring.first, range.lowerBound + 1)
        let end = min(range.upperBound + 1, order.promptCount)
        guard first < end else { return nil }
        self.first = first
        targets = order.tokens[first..<end]
        top = scoring.top
    }
}

/// The scores that a chunk asked for.
public struct ChunkScores: Sendable, Hashable {
    /// As in the step.
    public var attempt: AttemptID
    /// One for each target.
    public var scores: Result<[TokenLogprobs], SampleFailure>

    public init(attempt: AttemptID, scores: Result<[TokenLogprobs], SampleFailure>) {
        self.attempt = attempt
        self.scores = scores
    }
}

/// What the sampler needs to know besides the logits.
public struct SamplingContext: Sendable, Hashable {
    public var parameters: SamplingParameters
    /// Place in the answer of the token to sample; part of the random generator's key.
    public var index: Int32
    /// Prompt and answer so far. Only for what looks back: penalties and constraints; shared storage, never a copy.
    public var history: [TokenID]?
    /// Length of the prompt within `history`.
    public var promptCount: Int
    /// Must not be sampled.
    public var maskedTokens: [TokenID]
    /// Log-probabilities are wanted, and of so many of the most probable tokens.
    public var logprobs: Int?
    public var constraint: Constraint?
    /// End the answer; a constraint allows them where the answer may end.
    public var endTokens: [TokenID]

    public init(
        parameters: SamplingParameters, index: Int32, history: [TokenID]?, promptCount: Int, maskedTokens: [TokenID] = [],
        logprobs: Int? = nil, constraint: Constraint? = nil, endTokens: [TokenID] = []
    ) {
        self.parameters = parameters
        self.index = index
        self.history = history
        self.promptCount = promptCount
        self.maskedTokens = maskedTokens
        self.logprobs = logprobs
        self.constraint = constraint
        self.endTokens = endTokens
    }

    /// The token that follows `order`'s.
    init(_ order: SequenceOrder) {
        self.init(
            parameters: order.sampling, index: order.firstIndex, history: order.looksBack ? order.tokens : nil,
            promptCount: order.promptCount, maskedTokens: order.stop.maskedTokens(at: order.firstIndex),
            logprobs: order.logprobs, constraint: order.constraint, endTokens: order.stop.endTokens)
    }
}

extension SequenceOrder {
    /// Sampling depends on more than the logits.
    var looksBack: Bool { sampling.usesPenalties || constraint != nil }
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
    /// If they were wanted.
    public var logprobs: TokenLogprobs?

    public init(attempt: AttemptID, token: Result<TokenID, SampleFailure>, logprobs: TokenLogprobs? = nil) {
        self.attempt = attempt
        self.token = token
        self.logprobs = logprobs
    }

    /// As the token of an answer.
    func event(as attempt: AttemptID, at index: Int32) -> Result<TokenEvent, SampleFailure> {
        token.map { TokenEvent(attempt: attempt, index: index, token: $0, logprobs: logprobs) }
    }
}
