import Generation

/// What a worker tells the coordinator on its control link.
public enum WorkerMessage: Sendable, Hashable {
    /// First message of a connection; everything the worker held before is already freed.
    case register(Registration)
    /// The first chunk of the prompt went into a step; the KV of so many first tokens was there already.
    case prefillStarted(AttemptID, cachedCount: Int = 0)
    /// The prompt is computed and the next token sampled from it.
    case prefillFinished(AttemptID, TokenEvent)
    /// The same for a prompt with ``SequenceOrder/forks``: the first token of each. A fork may go by a newer attempt now.
    case promptForked(AttemptID, [TokenEvent])
    /// Scores of consecutive tokens of the prompt; the last ones of a prompt come before the token sampled from it. Whoever
    /// computed them, they are the same.
    case promptScored(AttemptID, PromptScores)
    /// The decode side acknowledged the whole KV; the prefill side's blocks are free again.
    case transferFinished(AttemptID)
    /// The prefill side gives the attempt up (its destination refuses or cannot be reached, a bad logit, …).
    case prefillFailed(AttemptID, WorkFailure)
    /// The KV is whole on the decode side; the query embeds at the next iteration boundary with a free row.
    case kvWhole(AttemptID)
    /// The query entered the running batch as `row`.
    case embedded(AttemptID, row: Int)
    /// Tokens of one iteration, at most one a row, in row order.
    case tokens([TokenEvent])
    /// The query was taken out of the batch and its KV put aside: its row and its blocks are free.
    case parked(AttemptID)
    /// The query left the batch after its last token, and its blocks are free.
    case left(AttemptID, row: Int)
    /// The worker is shutting down: it finishes what it holds and takes nothing new.
    case leaving
    /// The decode side gives the attempt up, or a mixed worker does: the request has to be prefilled again, here or
    /// elsewhere.
    case decodeFailed(AttemptID, WorkFailure)
    /// What the worker's prefix cache holds has changed. Not everything is told: it serves placement, which only guesses.
    case prefixesChanged(PrefixChanges)
}

/// A token and its place in the answer.
public struct TokenEvent: Sendable, Hashable {
    public var attempt: AttemptID
    /// Place in the answer, from 0.
    public var index: Int32
    public var token: TokenID
    public var logprobs: TokenLogprobs?

    public init(attempt: AttemptID, index: Int32, token: TokenID, logprobs: TokenLogprobs? = nil) {
        self.attempt = attempt
        self.index = index
        self.token = token
        self.logprobs = logprobs
    }

    public var scored: ScoredToken { ScoredToken(token, logprobs) }
}

/// How probable some of a prompt's tokens were, each after those before it.
public struct PromptScores: Sendable, Hashable {
    /// Tokens in one message.
    public static let maxCount = 512

    /// Position of the first token that they are about.
    public var first: Int
    public var tokens: [TokenLogprobs]

    public init(first: Int, tokens: [TokenLogprobs]) {
        self.first = first
        self.tokens = tokens
    }
}

/// Why a worker gave an attempt up.
public enum WorkFailure: Sendable, Hashable {
    /// The transfer made no progress, or its blocks stayed bad after two refetches.
    case transferLost
    /// It had to give way to others, and there was no room to park it.
    case evicted
    /// The other side does not know this attempt (any more).
    case refused(String)
    /// The computation itself failed (a logit is not a number); trying again will not help.
    case computation(String)
}

/// What a worker says about itself when it registers.
public struct Registration: Sendable, Hashable {
    public var worker: WorkerID
    public var role: WorkerRole
    /// Drawn at process start; tells a restart from a reconnection.
    public var bootNonce: UInt64
    /// Where its KV socket can be reached by other workers, e.g. `tcp://10.0.0.7:5561`.
    public var endpoint: String
    public var numerics: NumericsClass
    public var geometry: KVGeometry
    /// Blocks in its pool.
    public var blockCount: Int
    /// Rows of its batch (decode, mixed) or prompts in flight at once (prefill).
    public var maxSequences: Int
    /// Longest sequence, in tokens, that the model and the pool allow.
    public var maxModelLength: Int

    public init(
        worker: WorkerID, role: WorkerRole, bootNonce: UInt64, endpoint: String, numerics: NumericsClass,
        geometry: KVGeometry, blockCount: Int, maxSequences: Int, maxModelLength: Int
    ) {
        self.worker = worker
        self.role = role
        self.bootNonce = bootNonce
        self.endpoint = endpoint
        self.numerics = numerics
        self.geometry = geometry
        self.blockCount = blockCount
        self.maxSequences = maxSequences
        self.maxModelLength = maxModelLength
    }
}

/// A worker's own figures, carried by its heartbeats.
public struct WorkerLoad: Sendable, Hashable {
    /// Blocks referenced by a query now.
    public var referencedBlocks: Int
    /// Queries in the running batch (decode, mixed) or in prefill.
    public var rows: Int
    /// Queries waiting: for chunks, for KV, or for a row.
    public var waiting: Int
    /// A step of the batch takes so long, averaged over the last few; `nil` before the first.
    public var iterationTime: Duration?
    /// Rows that its batch may have for now; `nil`: there is no limit but that of its registration.
    public var rowLimit: Int?
    /// The system has little memory left: no query should be sent ahead of its row.
    public var isMemoryShort: Bool
    public var parking: ParkingLoad
    public var transfers: TransferCounters
    /// What its engine has done.
    public var work: WorkCounters
    public var prefixCache: PrefixCacheCounters
    public var coreLeases: CoreLeaseCounters
    /// How it fills its steps, as its shell was told; `nil` for prefill workers.
    public var scheduling: Scheduling?

    public init(
        referencedBlocks: Int = 0, rows: Int = 0, waiting: Int = 0, iterationTime: Duration? = nil, rowLimit: Int? = nil,
        isMemoryShort: Bool = false, parking: ParkingLoad = ParkingLoad(),
        transfers: TransferCounters = TransferCounters(), work: WorkCounters = WorkCounters(),
        prefixCache: PrefixCacheCounters = PrefixCacheCounters(), coreLeases: CoreLeaseCounters = CoreLeaseCounters(), scheduling: Scheduling? = nil
    ) {
        self.referencedBlocks = referencedBlocks
        self.rows = rows
        self.waiting = waiting
        self.iterationTime = iterationTime
        self.rowLimit = rowLimit
        self.isMemoryShort = isMemoryShort
        self.parking = parking
        self.transfers = transfers
        self.work = work
        self.prefixCache = prefixCache
        self.coreLeases = coreLeases
        self.scheduling = scheduling
    }
}

/// What lies in a worker's parking store, and what it has done since the worker registered.
public struct ParkingLoad: Sendable, Hashable {
    public var queries: Int
    public var memoryBytes: Int
    public var fileBytes: Int
    public var parks: UInt64
    public var resumes: UInt64
    /// Parked queries sent to another worker.
    public var migrations: UInt64
    /// What the store took to copy out and in, without any wait for its thread.
    public var parkTime: Duration
    public var resumeTime: Duration

    public init(
        queries: Int = 0, memoryBytes: Int = 0, fileBytes: Int = 0, parks: UInt64 = 0, resumes: UInt64 = 0,
        migrations: UInt64 = 0, parkTime: Duration = .zero, resumeTime: Duration = .zero
    ) {
        self.queries = queries
        self.memoryBytes = memoryBytes
        self.fileBytes = fileBytes
        self.parks = parks
        self.resumes = resumes
        self.migrations = migrations
        self.parkTime = parkTime
        self.resumeTime = resumeTime
    }
}
