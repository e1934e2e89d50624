import Generation

/// What the coordinator tells an RPC client.
public enum ServerMessage: Sendable, Hashable {
    case hello(ServerHello)
    case accepted(key: UInt64, Acceptance)
    /// Tokens of the prompt from position `first` on; dense and in order, before any token of an answer. Only if asked for.
    case prompt(key: UInt64, first: Int32, [ScoredToken])
    /// Dense and in order for each choice: `firstIndex` is the number of its tokens sent before. `text` may be empty while
    /// a character or a possible stop string is incomplete.
    case tokens(key: UInt64, choice: Int32 = 0, firstIndex: Int32, tokens: [ScoredToken], text: String)
    /// One choice is complete; the request ends with the last of them.
    case finished(key: UInt64, choice: Int32 = 0, Completion)
    /// The end of the request, whatever its choices had brought.
    case failed(key: UInt64, RequestFailure)
    case pong(ClusterEpoch)
    case status(ClusterStatus)
    case event(ClusterEvent)
    /// The client's connection is not known (any more): everything it had open is cancelled.
    case unknownClient(ClusterEpoch)
}

public struct ServerHello: Sendable, Hashable {
    public var epoch: ClusterEpoch
    public var modelName: String
    public var maxModelLength: Int

    public init(epoch: ClusterEpoch, modelName: String, maxModelLength: Int) {
        self.epoch = epoch
        self.modelName = modelName
        self.maxModelLength = maxModelLength
    }
}

public struct Acceptance: Sendable, Hashable {
    public var request: RequestID
    public var seed: UInt64
    public var promptCount: Int32
    /// Answers to come.
    public var choices: Int32

    public init(request: RequestID, seed: UInt64, promptCount: Int32, choices: Int32 = 1) {
        self.request = request
        self.seed = seed
        self.promptCount = promptCount
        self.choices = choices
    }
}

public struct Completion: Sendable, Hashable {
    public var reason: FinishReason
    /// Text held back until now, e.g. the beginning of a stop string that never came.
    public var text: String
    public var tokenCount: Int32
    /// Prompt tokens whose KV did not have to be computed.
    public var cachedTokenCount: Int32
    public var timings: Timings
    public var prefillWorker: WorkerID
    /// `nil` when the first token was also the last.
    public var decodeWorker: WorkerID?
    /// Tries that it took; 1 when nothing went wrong.
    public var attempts: UInt32

    public init(
        reason: FinishReason, text: String, tokenCount: Int32, cachedTokenCount: Int32 = 0, timings: Timings,
        prefillWorker: WorkerID, decodeWorker: WorkerID?, attempts: UInt32
    ) {
        self.reason = reason
        self.text = text
        self.tokenCount = tokenCount
        self.cachedTokenCount = cachedTokenCount
        self.timings = timings
        self.prefillWorker = prefillWorker
        self.decodeWorker = decodeWorker
        self.attempts = attempts
    }
}

/// Where a request's time went, as the coordinator saw it.
public struct Timings: Sendable, Hashable {
    /// Submitted until the prefill started.
    public var queue: Duration
    /// Prefill started until the first token was known.
    public var prefill: Duration
    /// First token until the KV was whole on the decode side; zero when it overlapped completely.
    public var transfer: Duration
    /// Submitted until the first token.
    public var timeToFirstToken: Duration
    /// Mean time between tokens after the first; zero for a single token.
    public var timePerOutputToken: Duration

    public init(
        queue: Duration = .zero, prefill: Duration = .zero, transfer: Duration = .zero,
        timeToFirstToken: Duration = .zero, timePerOutputToken: Duration = .zero
    ) {
        self.queue = queue
        self.prefill = prefill
        self.transfer = transfer
        self.timeToFirstToken = timeToFirstToken
        self.timePerOutputToken = timePerOutputToken
    }
}

/// Why a request ended without an answer, or without the rest of it.
public struct RequestFailure: Error, Sendable, Hashable {
    public enum Code: String, Sendable, Hashable, CaseIterable {
        /// The request itself is at fault.
        case invalid
        /// The queue is full; nothing was done.
        case overloaded
        /// The coordinator is shutting down; nothing was done.
        case draining
        /// The request's own time limit passed before any work on it began.
        case expired
        /// The request's own time limit passed while it was being served.
        case timedOut
        /// No worker of a role was there until the time limit.
        case noWorker
        case cancelled
        /// Everything possible was tried.
        case failed
    }

    public var code: Code
    public var message: String

    public init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    /// Whether the same request may be sent again: true only if no token was emitted.
    public var isRetryable: Bool {
        switch code {
        case .overloaded, .draining, .noWorker, .expired: true
        case .invalid, .timedOut, .cancelled, .failed: false
        }
    }
}
