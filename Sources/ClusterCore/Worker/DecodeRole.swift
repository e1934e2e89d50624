import DequeModule
import Generation
import OrderedCollections

/// The decisions of a decode worker: what may be received, who is embedded when, who leaves.
///
/// The shell receives, calls ``handle(_:at:)``, carries the actions out in order, and asks ``nextIteration(at:)`` for
/// work whenever the engine is idle. For `blocks` it asks ``destination(for:)`` first, copies and checks the payload,
/// and reports the outcome before it calls anything else: in between, the destination could be freed.
/// One value lives as long as one registration.
public struct DecodeRole: Sendable {
    public enum Event: Sendable {
        case message(CoordinatorMessage)
        /// `open`, `commit` or `abort`; `blocks` go through the three events below.
        case kv(PeerID, KVMessage)
        /// The payload was copied to its destination and its checksum was right.
        case blocksStored(PeerID, KVBlocks)
        /// The payload was damaged; its destination may hold anything.
        case blocksCorrupt(PeerID, KVBlocks)
        /// ``destination(for:)`` said no; nothing was copied.
        case blocksRefused(PeerID, KVBlocks, KVRefusal)
        /// One sample for every row of the running iteration, in row order.
        case iterationFinished([Sample])
        /// ``Action/park(_:)`` is done: the blocks are read no more. False if the store could not keep them.
        case parkingFinished(ParkID, Bool)
        /// ``Action/restore(_:)`` is done. False if what was stored is damaged or gone; the blocks may hold anything.
        case restoringFinished(ParkID, Bool)
        /// ``Action/load(_:)`` is done; false if what was stored is damaged or gone.
        case loadingFinished(ParkID, Bool)
        /// From another worker, to which a parked query is being sent.
        case reply(KVReply)
        /// The connection to a worker broke: what was in flight may be lost.
        case peerUnreachable(WorkerID)
        /// What the system has left, sampled now and then.
        case memory(BatchScale.Memory)
        case tick
    }

    public enum Action: Sendable, Hashable {
        case reply(PeerID, KVReply)
        case report(WorkerMessage)
        /// Copy all layers of a block, before the next iteration starts.
        case copyBlock(from: BlockID, to: BlockID)
        /// Give the memory of these blocks back to the system, at once; what they hold is of no use to anybody.
        case releaseMemory([BlockID])
        /// Copy the blocks to the store, beside whatever the engine computes; nobody else touches them meanwhile.
        case park(ParkedKV)
        /// Copy what is stored into these blocks.
        case restore(ParkedKV)
        /// Bring what is stored to where ``sendParked(_:_:to:)`` can read it.
        case load(ParkID)
        /// Forget what is stored, when what was asked for before is done.
        case discard(ParkID)
        case send(KVMessage, to: KVDestination)
        /// Layer blocks of what was loaded.
        case sendParked(KVBlocks, ParkID, to: KVDestination)
    }

    public struct Configuration: Sendable, Hashable {
        public var clusterEpoch: ClusterEpoch
        public var workerEpoch: WorkerEpoch
        public var modelHash: String
        public var geometry: KVGeometry
        public var blockCount: Int
        /// Rows of the batch.
        public var maxSequences: Int
        /// Tokens in one sequence; at least one such sequence must fit the pool.
        public var maxModelLength: Int
        /// Layer blocks that a sender may have under way.
        public var creditWindow: Int
        public var parking: ParkingLot.Limits
        public var scaling: BatchScale.Configuration
        public var timings: TransferTimings
        /// How the KV of the batch's rows lies.
        public var layout: BatchLayout
        /// See ``DecodeRole/lendingEnd(at:areOthersKeen:)``; at least 1, which is never.
        public var lendingStretch: Double
        /// See ``BackgroundShare``.
        public var backgroundShare: Double
        /// Blocks stay after their last use, for queries that begin with the same tokens. Not with a dense layout, which
        /// shares none.
        public var cachesPrefixes: Bool
        /// A more urgent query takes rows and blocks of those that run. Not from a batch that runs to completion.
        public var displaces: Bool

        public init(
            clusterEpoch: ClusterEpoch, workerEpoch: WorkerEpoch, modelHash: String, geometry: KVGeometry,
            blockCount: Int, maxSequences: Int, maxModelLength: Int, creditWindow: Int = 256,
            parking: ParkingLot.Limits = .none, scaling: BatchScale.Configuration = .init(),
            timings: TransferTimings = TransferTimings(), layout: BatchLayout = .blockTables,
            lendingStretch: Double = 1, backgroundShare: Double = .infinity,
            cachesPrefixes: Bool = false, displaces: Bool = true
        ) {
            self.clusterEpoch = clusterEpoch
            self.workerEpoch = workerEpoch
            self.modelHash = modelHash
            self.geometry = geometry
            self.blockCount = blockCount
            self.maxSequences = maxSequences
            self.maxModelLength = maxModelLength
            self.creditWindow = creditWindow
            self.parking = parking
            self.scaling = scaling
            self.timings = timings
            self.layout = layout
            self.lendingStretch = lendingStretch
            self.backgroundShare = backgroundShare
            self.cachesPrefixes = cachesPrefixes
            self.displaces = displaces
        }
    }

    public let configuration: Configuration
    public internal(set) var counters = DecodeCounters()

    /// Where a query is now.
    enum Place: Sendable, Hashable {
        /// Waits for blocks that come free when the running iteration is over.
        case deferred
        case transfer
        /// Its prompt is computed here: on a mixed worker.
        case prompt
        /// Whole, waiting for a row.
        case ready
        case row(slot: Int)
        /// Its KV is in the parking store, or on the way there, back, or elsewhere.
        case parked(ParkID)
    }

    struct Holding: Sendable, Hashable {
        var attempt: AttemptID
        var rank: Rank
        var place: Place
    }

    var pool: BlockPool
    /// Everything held, by request: a newer attempt takes the place of an older one. For look-ups only.
    var holdings: [RequestID: Holding] = [:]
    var deferred: [Grant] = []
    var transfers: OrderedDictionary<RequestID, IncomingTransfer> = [:]
    /// Where KV comes from: computed here, or else by transfer.
    let computesPrompts: Bool
    var prompts = LocalPrompts()
    /// By rank.
    var ready: Deque<DecodeRow> = []
    var batch: DecodeBatch
    var clock = IterationClock()
    var spacing: IterationSpacing
    var background: BackgroundShare
    var scale: BatchScale
    /// Memory has become short, or is still, since a row was last parked for it.
    var owesMemory = false
    var lot: ParkingLot
    var parked: OrderedDictionary<ParkID, ParkedRow> = [:]
    var nextPark: UInt64 = 1
    var ended = EndedAttempts(capacity: 4096)
    var early = EarlyOpenings(capacity: 64)
    /// No timer is due earlier; may be too early, never too late.
    var wakeUp: Instant?
    /// When the rows were last computed; `nil` while they are, or when there are none.
    var restingSince: Instant?
    /// Since when the cores have been lent; `nil` while they are not.
    var lentSince: Instant?
    /// Rows that waited for the last boundary, if it shaped the batch.
    var rowsAtShaping: Int?
    /// Rows left at the end of the last iteration.
    var hasRemoved = false

    public init(_ configuration: Configuration) { self.init(configuration, computesPrompts: false) }

    /// With `computesPrompts` it is the half of a ``MixedRole`` that keeps blocks and rows.
    init(_ configuration: Configuration, computesPrompts: Bool) {
        let longest = configuration.geometry.blockCount(forTokens: configuration.maxModelLength)
        precondition(
            configuration.maxModelLength > 0 && longest <= configuration.blockCount,
            "a sequence of \(configuration.maxModelLength) tokens does not fit \(configuration.blockCount) blocks")
        self.configuration = configuration
        self.computesPrompts = computesPrompts
        spacing = IterationSpacing(stretch: configuration.lendingStretch)
        background = BackgroundShare(configuration.backgroundShare)
        let isCaching = configuration.cachesPrefixes && configuration.layout == .blockTables
        pool = BlockPool(
            blockCount: configuration.blockCount, cachingBlocksOf: isCaching ? configuration.geometry.blockSize : nil)
        lot = ParkingLot(configuration.parking)
        scale = BatchScale(configuration.scaling, maxSequences: configuration.maxSequences)
        batch = DecodeBatch(maxSequences: configuration.maxSequences, blockSize: configuration.geometry.blockSize)
    }

    public mutating func handle(_ event: Event, at now: Instant) -> [Action] {
        var actions: [Action] = []
        switch event {
        case .message(let message): receive(message, at: now, into: &actions)
        case .kv(let peer, let message): receive(message, from: peer, at: now, into: &actions)
        case .blocksStored(let peer, let blocks): store(blocks, from: peer, at: now, into: &actions)
        case .blocksCorrupt(_, let blocks): damage(blocks, at: now)
        case .blocksRefused(let peer, let blocks, let refusal): refuse(blocks, refusal, from: peer, into: &actions)
        case .iterationFinished(let samples): finishIteration(samples, at: now, into: &actions)
        case .parkingFinished(let id, let isStored):
            finishParking(id, isStored: isStored, at: now, into: &actions)
        case .restoringFinished(let id, let isIntact):
            finishRestoring(id, isIntact: isIntact, at: now, into: &actions)
        case .loadingFinished(let id, let isIntact):
            finishLoading(id, isIntact: isIntact, at: now, into: &actions)
        case .reply(let reply): receive(reply, at: now, into: &actions)
        case .peerUnreachable(let worker): reopenMigrations(to: worker, at: now, into: &actions)
        case .memory(let memory): note(memory, at: now, into: &actions)
        case .tick: tick(at: now, into: &actions)
        }
        return actions
    }

    /// When ``Event/tick`` is due; `nil` while no transfer is under way.
    public var timeOfNextWakeUp: Instant? { transfers.isEmpty && !hasMigrations ? nil : wakeUp }

    public var load: WorkerLoad {
        WorkerLoad(
            referencedBlocks: pool.referencedCount - pool.idlePinnedCount, rows: batch.count,
            waiting: deferred.count + transfers.count + prompts.count + ready.count,
            iterationTime: clock.average, rowLimit: scale.isOff ? nil : scale.rowLimit, isMemoryShort: scale.isMemoryShort,
            parking: ParkingLoad(
                queries: parked.count, memoryBytes: lot.used.memory, fileBytes: lot.used.file, parks: counters.parks,
                resumes: counters.resumes, migrations: counters.migrations, parkTime: counters.parkTime,
                resumeTime: counters.resumeTime),
            transfers: counters.transfers,
            work: WorkCounters(
                steps: counters.iterations, decodeTokens: counters.rows, batch: counters.batch),
            prefixCache: pool.prefixCacheCounters)
    }

    /// Whether the engine runs an iteration.
    public var isIterating: Bool { batch.isIterating }

    /// Neither the engine nor the parking store uses any block; a shell replaces the role only then.
    public var isQuiescent: Bool { !isIterating && !parked.values.contains(where: \.isAtWork) }
}

/// What a decode worker has done since it registered.
public struct DecodeCounters: Sendable, Hashable {
    public var grants: UInt64 = 0
    public var batch = BatchCounters()
    public var iterations: UInt64 = 0
    /// Token rows of the batch computed.
    public var rows: UInt64 = 0
    /// Layer blocks stored.
    public var layerBlocks: UInt64 = 0
    public var transfers = TransferCounters()
    /// Messages that brought something again.
    public var duplicates: UInt64 = 0
    /// Layer blocks asked for again.
    public var refetches: UInt64 = 0
    /// Messages with a damaged payload.
    public var corrupt: UInt64 = 0
    /// Messages of another epoch or attempt, or that contradict their grant.
    public var refused: UInt64 = 0
    public var evictions: UInt64 = 0
    public var parks: UInt64 = 0
    public var resumes: UInt64 = 0
    /// As ``ParkingLoad`` says.
    public var parkTime = Duration.zero
    public var resumeTime = Duration.zero
    /// Parked queries sent to another worker, successfully or not.
    public var migrations: UInt64 = 0
    /// Rows that sat an iteration out because the pool was exhausted until the store had copied other blocks.
    public var heldBack: UInt64 = 0
    /// Blocks whose memory was given back to the system.
    public var releasedBlocks: UInt64 = 0
    /// Attempts given up, evictions included.
    public var failures: UInt64 = 0
}

/// Where a KV message came from; means something to the shell alone.
public struct PeerID: Sendable, Hashable {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// Why layer blocks are not wanted.
public enum KVRefusal: Error, Sendable, Hashable {
    /// Of another life of the cluster.
    case epoch(ClusterEpoch)
    /// No grant, or not opened: perhaps not yet.
    case unknown
    /// The attempt is over, or a newer one has taken its place.
    case ended
    /// All of it is there already.
    case duplicate
    /// It contradicts the grant; the text names the values.
    case mismatch(String)
}
