import Generation

/// What the coordinator tells a worker on its control link.
public enum CoordinatorMessage: Sendable, Hashable {
    /// The registration is accepted; all later messages carry these epochs.
    case registered(ClusterEpoch, WorkerEpoch)
    /// The registration is refused for good: the text names both sides' values.
    case registrationRefused(String)
    /// The coordinator does not know the worker under the epochs it speaks with: free everything, register again.
    case registerAgain
    /// To a prefill worker: compute the prompt, stream its KV to the destination, sample the next token.
    case prefill(PrefillOrder)
    /// `from` lost its destination, or was parked here: send the same KV as `to` elsewhere. Not held any more: fails.
    case retarget(from: AttemptID, to: AttemptID, KVDestination)
    /// To a decode worker: expect this query's KV, in this many blocks, and embed it when it is whole. To a mixed worker:
    /// compute that KV yourself, then the same; no order goes with it.
    case grant(Grant)
    /// Park a running query at the next iteration boundary; ``WorkerMessage/parked(_:)`` says when that is done. One that
    /// is not in the batch stays as it is.
    case preempt(AttemptID)
    /// Embed a parked query again, with this budget of blocks.
    case resume(AttemptID, budget: Int)
    /// Stop working on the attempt and free what it holds. Unknown attempts are ignored.
    case cancel(AttemptID)
    /// All members of a group have ended, or nobody waits for it any more: its prefix may go.
    case releaseGroup(GroupID)
}

/// The tokens to continue and how: everything an answer depends on but the model.
public struct SequenceOrder: Sendable, Hashable {
    public var attempt: AttemptID
    /// The prompt, followed by the tokens already emitted when this attempt began (a replay continues after them).
    public var tokens: [TokenID]
    /// Length of the prompt alone.
    public var promptCount: Int
    public var sampling: SamplingParameters
    public var stop: StopConditions
    /// Log-probabilities are wanted of every token, and of so many of the most probable ones.
    public var logprobs: Int?
    /// The prompt's tokens are to be scored.
    public var scoring: PromptScoring?
    public var constraint: Constraint?
    /// Not empty: the sequence is the prompt alone, and goes on as each of these, which share its KV. It has no token of
    /// its own.
    public var forks: [Fork]
    /// KV is shared only with sequences of the same salt.
    public var cacheSalt: String
    public var group: GroupMembership?
    public var priority: Priority
    /// As in ``Rank``.
    public var precedence: Int64

    public init(
        attempt: AttemptID, tokens: [TokenID], promptCount: Int, sampling: SamplingParameters, stop: StopConditions,
        logprobs: Int? = nil, scoring: PromptScoring? = nil, constraint: Constraint? = nil, forks: [Fork] = [],
        cacheSalt: String = "", group: GroupMembership? = nil, priority: Priority, precedence: Int64 = 0
    ) {
        self.attempt = attempt
        self.tokens = tokens
        self.promptCount = promptCount
        self.sampling = sampling
        self.stop = stop
        self.logprobs = logprobs
        self.scoring = scoring
        self.constraint = constraint
        self.forks = forks
        self.cacheSalt = cacheSalt
        self.group = group
        self.priority = priority
        self.precedence = precedence
    }

    /// Place in the answer of the token that the prefill samples.
    public var firstIndex: Int32 { Int32(tokens.count - promptCount) }
    /// Nothing is decoded from the KV: the token that the prefill samples, if any, is the last.
    public var endsWithPrefill: Bool { firstIndex + 1 >= stop.maxTokens }
    /// First tokens whose KV may be taken from elsewhere: something has to be left to sample from, and a score comes from
    /// the row before its token.
    var reusableCount: Int { min(tokens.count, scoring?.first ?? tokens.count) - 1 }
    public var rank: Rank { Rank(precedence: precedence, priority: priority, request: attempt.request) }
}

/// One of the choices that a prompt goes on as.
public struct Fork: Sendable, Hashable {
    /// Each choice is a request of its own to workers.
    public var attempt: AttemptID
    /// As in ``Generation/SamplingParameters/choice``.
    public var choice: UInt32

    public init(attempt: AttemptID, choice: UInt32) {
        self.attempt = attempt
        self.choice = choice
    }
}

/// Which of a prompt's tokens are to be scored, and how.
public struct PromptScoring: Sendable, Hashable {
    /// So many of the most probable tokens in each place are told too.
    public var top: Int
    /// Position of the first token whose score is wanted, at least 1: before it everything is known.
    public var first: Int

    public init(top: Int, first: Int = 1) {
        self.top = top
        self.first = first
    }
}

public struct PrefillOrder: Sendable, Hashable {
    public var sequence: SequenceOrder
    /// `nil`: the first token, or the scores of the prompt, are all that is wanted, and the KV goes nowhere.
    public var destination: KVDestination?

    public init(sequence: SequenceOrder, destination: KVDestination?) {
        self.sequence = sequence
        self.destination = destination
    }
}

/// Where a query's KV goes.
public struct KVDestination: Sendable, Hashable {
    public var worker: WorkerID
    /// From the coordinator's registry, never from a client.
    public var endpoint: String

    public init(worker: WorkerID, endpoint: String) {
        self.worker = worker
        self.endpoint = endpoint
    }
}

public struct Grant: Sendable, Hashable {
    public var sequence: SequenceOrder
    /// Blocks set aside for the query: its KV now and some room to grow. Beyond it the row takes what is free.
    public var budget: Int

    public init(sequence: SequenceOrder, budget: Int) {
        self.sequence = sequence
        self.budget = budget
    }
}
