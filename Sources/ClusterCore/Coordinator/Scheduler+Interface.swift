import Generation

extension Scheduler {
    /// What the coordinator's shell has to report.
    public enum Event: Sendable {
        /// Answered at once by ``Action/accepted(_:_:)`` or ``Action/refused(_:_:)``.
        case submitted(ClientRequest)
        /// The client does not want the answer (any more). Unknown keys are ignored.
        case cancelled(ClientRequestKey)
        /// The client is gone or stopped reading: everything it has open is cancelled.
        case clientGone(ClientID)
        /// The shell found a stop string in the text emitted so far: that choice ends as ``FinishReason/stop``.
        case stopMatched(RequestID, choice: Int32 = 0)
        case workerMessage(ConnectionID, Envelope, WorkerMessage)
        case pong(Pong)
        case workerConnectionClosed(ConnectionID)
        /// Whether anybody wants ``Action/observe(_:_:)``; nobody at first.
        case watched(Bool)
        /// Nothing new is accepted; ``Action/drained`` comes when all that was accepted has ended.
        case drain
        /// The time of the last ``Action/wakeAt(_:)`` has come.
        case tick
    }

    /// What the coordinator's shell has to do, in this order.
    public enum Action: Sendable, Hashable {
        /// The request has a number now and will end in exactly one `finish` for each choice, or in one `fail`.
        case accepted(ClientRequestKey, RequestID)
        /// The request never existed; its only answer.
        case refused(ClientRequestKey, RequestFailure)
        /// Tokens of the prompt from position `first` on; dense, in order, each once, before any `emit`. Only if
        /// ``ClientRequest/promptLogprobs`` asks for them.
        case emitPrompt(RequestID, first: Int32, [ScoredToken])
        /// Tokens `firstIndex ...` of a choice; dense, in order, each once.
        case emit(RequestID, choice: Int32 = 0, firstIndex: Int32, [ScoredToken])
        /// A choice is complete. The request ends with the last of them.
        case finish(RequestID, choice: Int32 = 0, RequestSummary)
        /// The request ends, with all choices that are not complete.
        case fail(RequestID, RequestFailure)
        /// On the worker's control link.
        case send(ConnectionID, Envelope, CoordinatorMessage)
        /// On the worker's heartbeat link.
        case ping(WorkerID, Ping)
        /// Only while watched. `nil` for events of a worker alone.
        case observe(RequestID?, ClusterEvent.Kind)
        /// Handle ``Event/tick`` then; replaces the time asked for before.
        case wakeAt(Instant)
        case drained
    }

    public struct Configuration: Sendable, Hashable {
        public var modelName: String
        /// Tokens of prompt and answer together; workers may allow less.
        public var maxModelLength: Int
        /// Requests without a worker beyond which new ones are refused as ``RequestFailure/Code/overloaded``.
        public var maxQueuedRequests: Int
        /// Queries granted to a decode or mixed worker beyond its rows, so that KV waits for a row and not a row for KV.
        public var embedLookahead: Int
        /// Prompts ordered from a prefill worker beyond those it has in flight, so that it never runs dry.
        public var prefillLookahead: Int
        /// Blocks set aside for a query to grow into, besides those of its tokens.
        public var growthBlocks: Int
        /// How many times as long an iteration must take on a decode worker as on another one before a query is sent there.
        public var migrationGain: Double
        /// Time between two looks at whether decode workers have drifted apart; `nil`: queries are never moved for that.
        public var rebalanceInterval: Duration?
        /// How much earlier a request counts as having arrived for each step of priority (``Rank``).
        public var priorityHeadStart: Duration
        /// A request counts as having arrived at least this long before its deadline.
        public var deadlineLead: Duration
        /// Attempts without a single new token after which a request fails.
        public var maxFruitlessAttempts: Int
        /// Pause before the attempt that follows two fruitless ones; doubles with each further one.
        public var retryPause: Duration
        public var retryPauseLimit: Duration
        public var placement: PlacementPolicy
        /// How much a token that need not be computed is worth, in tokens that a prompt waits for: whoever comes behind it waits less too.
        public var prefixGain: Int
        /// Blocks of prefixes whose place is remembered.
        public var prefixIndexCapacity: Int
        /// How long a group without open members keeps its prefix for those that are still to come.
        public var groupLinger: Duration
        public var membership: Membership.Configuration

        public init(
            modelName: String, maxModelLength: Int, maxQueuedRequests: Int = 10_000, embedLookahead: Int = 2,
            prefillLookahead: Int = 2, growthBlocks: Int = 4, migrationGain: Double = 1.25, rebalanceInterval: Duration? = .seconds(1),
            priorityHeadStart: Duration = .seconds(300), deadlineLead: Duration = .seconds(30), maxFruitlessAttempts: Int = 16,
            retryPause: Duration = .milliseconds(50), retryPauseLimit: Duration = .seconds(2),
            placement: PlacementPolicy = .prefix, prefixGain: Int = 32, prefixIndexCapacity: Int = 1 << 20, groupLinger: Duration = .seconds(10),
            membership: Membership.Configuration = Membership.Configuration()
        ) {
            self.modelName = modelName
            self.maxModelLength = maxModelLength
            self.maxQueuedRequests = maxQueuedRequests
            self.embedLookahead = embedLookahead
            self.prefillLookahead = prefillLookahead
            self.growthBlocks = growthBlocks
            self.migrationGain = migrationGain
            self.rebalanceInterval = rebalanceInterval
            self.priorityHeadStart = priorityHeadStart
            self.deadlineLead = deadlineLead
            self.maxFruitlessAttempts = maxFruitlessAttempts
            self.retryPause = retryPause
            self.retryPauseLimit = retryPauseLimit
            self.placement = placement
            self.prefixGain = prefixGain
            self.prefixIndexCapacity = prefixIndexCapacity
            self.groupLinger = groupLinger
            self.membership = membership
        }
    }
}

/// A client's connection, as the shell numbers them.
public struct ClientID: Sendable, Hashable, Comparable {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    public static func < (a: ClientID, b: ClientID) -> Bool { a.rawValue < b.rawValue }
}

/// A client's own name for one of its requests; free for use again after the terminal event.
public struct ClientRequestKey: Sendable, Hashable {
    public var client: ClientID
    public var key: UInt64

    public init(client: ClientID, key: UInt64) {
        self.client = client
        self.key = key
    }
}

/// A request as the shell hands it over: tokenized, with a seed and a deadline.
public struct ClientRequest: Sendable, Hashable {
    public var key: ClientRequestKey
    public var prompt: [TokenID]
    /// With the seed that counts, drawn by the shell if the client gave none.
    public var sampling: SamplingParameters
    public var stop: StopConditions
    /// Answers wanted, each with random numbers of its own.
    public var choices: Int32
    /// See ``Submission/logprobs``.
    public var logprobs: Int32?
    public var promptLogprobs: Int32?
    public var constraint: Constraint?
    public var priority: Priority
    /// See ``Submission/cacheSalt``.
    public var cacheSalt: String
    public var group: PrefixGroup?
    /// In whose numbers the group is named, for clients that share groups; `nil`: in the client's own.
    public var groupOwner: ClientID?
    /// `nil` waits for ever.
    public var deadline: Instant?

    public init(
        key: ClientRequestKey, prompt: [TokenID], sampling: SamplingParameters, stop: StopConditions,
        choices: Int32 = 1, logprobs: Int32? = nil, promptLogprobs: Int32? = nil, constraint: Constraint? = nil,
        priority: Priority = .normal, cacheSalt: String = "", group: PrefixGroup? = nil, groupOwner: ClientID? = nil,
        deadline: Instant? = nil
    ) {
        self.key = key
        self.prompt = prompt
        self.sampling = sampling
        self.stop = stop
        self.choices = choices
        self.logprobs = logprobs
        self.promptLogprobs = promptLogprobs
        self.constraint = constraint
        self.priority = priority
        self.cacheSalt = cacheSalt
        self.group = group
        self.groupOwner = groupOwner
        self.deadline = deadline
    }
}

/// How one choice of a request was served.
public struct RequestSummary: Sendable, Hashable {
    public var reason: FinishReason
    public var tokenCount: Int32
    /// Prompt tokens whose KV did not have to be computed.
    public var cachedTokenCount: Int32 = 0
    public var timings: Timings
    /// Who sampled the first token of the answer's last attempt.
    public var prefillWorker: WorkerID
    /// `nil` when the first token was also the last.
    public var decodeWorker: WorkerID?
    /// Tries that it took; 1 when nothing went wrong.
    public var attempts: UInt32
}

/// A worker's control connection, as the shell numbers them; never reused.
public struct ConnectionID: Sendable, Hashable {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

extension Scheduler.Configuration {
    /// The time at which a request counts as having arrived (``Rank``), in milliseconds.
    func precedence(of request: ClientRequest, at now: Instant) -> Int64 {
        let headStart = priorityHeadStart * request.priority.rawValue
        let arrival = request.deadline.map { min(now, $0 - deadlineLead) } ?? now
        return (arrival - headStart).nanoseconds / 1_000_000
    }
}
