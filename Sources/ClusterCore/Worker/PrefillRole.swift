import Generation
import OrderedCollections

/// The decisions of a prefill worker: which chunks to compute, what to send when, what to free.
///
/// The shell receives, calls ``handle(_:at:)``, carries the actions out in order, and asks ``nextStep(at:)`` for work
/// whenever the engine is idle. One value lives as long as one registration; a shell replaces it only when it
/// ``isQuiescent``, because until then the engine or the transport still reads blocks.
public struct PrefillRole: Sendable {
    public enum Event: Sendable {
        case message(CoordinatorMessage)
        case reply(KVReply)
        /// Layers are reported in order, each as soon as the running step has written its K and V.
        case layerStored(Int)
        /// The samples and the scores that chunks asked for, each in the order of the chunks.
        case stepFinished([Sample], scores: [ChunkScores] = [])
        /// The transport reads the blocks of this send no more (it was sent, or dropped).
        case sent(LeaseID)
        /// The connection broke: what was in flight may be lost.
        case peerUnreachable(WorkerID)
        case tick
    }

    public enum Action: Sendable, Hashable {
        /// Copy all layers of a block, before the next step starts.
        case copyBlock(from: BlockID, to: BlockID)
        case send(KVMessage, to: KVDestination)
        /// `from` are the local blocks, one for each layer block of the message; they stay as they are until
        /// ``Event/sent(_:)``, which is due also for a message that was dropped.
        case sendBlocks(KVBlocks, from: [BlockID], lease: LeaseID, to: KVDestination)
        case report(WorkerMessage)
    }

    public struct Configuration: Sendable, Hashable {
        public var clusterEpoch: ClusterEpoch
        public var workerEpoch: WorkerEpoch
        public var modelHash: String
        public var geometry: KVGeometry
        public var blockCount: Int
        /// Prompts that hold blocks at once, those whose KV is still being sent included.
        public var maxSequences: Int
        /// Tokens in one step.
        public var maxBatchedTokens: Int
        /// Tokens in one sequence.
        public var maxModelLength: Int
        public var timings: TransferTimings
        /// Blocks stay after their last use, for prompts that begin with the same tokens.
        public var cachesPrefixes: Bool

        public init(
            clusterEpoch: ClusterEpoch, workerEpoch: WorkerEpoch, modelHash: String, geometry: KVGeometry,
            blockCount: Int, maxSequences: Int, maxBatchedTokens: Int = 512, maxModelLength: Int,
            timings: TransferTimings = TransferTimings(), cachesPrefixes: Bool = false
        ) {
            self.clusterEpoch = clusterEpoch
            self.workerEpoch = workerEpoch
            self.modelHash = modelHash
            self.geometry = geometry
            self.blockCount = blockCount
            self.maxSequences = maxSequences
            self.maxBatchedTokens = maxBatchedTokens
            self.maxModelLength = maxModelLength
            self.timings = timings
            self.cachesPrefixes = cachesPrefixes
        }
    }

    public let configuration: Configuration
    public internal(set) var counters = PrefillCounters()

    var pool: BlockPool
    var queue = PrefillQueue()
    var urgentTraffic = UrgentTraffic()
    /// Everything held, by request: a newer attempt takes the place of an older one.
    var sequences: OrderedDictionary<RequestID, PrefillSequence> = [:]
    /// Sequences that hold blocks.
    var placesTaken = 0
    var running: RunningPrefill?
    /// Blocks that the transport still reads; each has a reference for it.
    var leases: [LeaseID: [BlockID]] = [:]
    var leasedReferences = 0
    var nextLease: UInt64 = 1
    /// No timer is due earlier; may be too early, never too late.
    var wakeUp: Instant?

    public init(_ configuration: Configuration) {
        precondition(configuration.maxSequences > 0 && configuration.maxBatchedTokens > 0, "\(configuration)")
        self.configuration = configuration
        pool = BlockPool(
            blockCount: configuration.blockCount,
            cachingBlocksOf: configuration.cachesPrefixes ? configuration.geometry.blockSize : nil)
    }

    public mutating func handle(_ event: Event, at now: Instant) -> [Action] {
        var actions: [Action] = []
        switch event {
        case .message(let message): receive(message, at: now, into: &actions)
        case .reply(let reply): receive(reply, at: now, into: &actions)
        case .layerStored(let layer): storeLayer(layer, at: now, into: &actions)
        case .stepFinished(let samples, let scores): finishStep(samples, scores, at: now, into: &actions)
        case .sent(let lease): endLease(lease)
        case .peerUnreachable(let worker): reopenTransfers(to: worker, at: now, into: &actions)
        case .tick: tick(at: now, into: &actions)
        }
        return actions
    }

    /// When ``Event/tick`` is due; `nil` while nothing is held.
    public var timeOfNextWakeUp: Instant? { sequences.isEmpty ? nil : wakeUp }

    public var load: WorkerLoad {
        WorkerLoad(
            referencedBlocks: pool.referencedCount - pool.idlePinnedCount, rows: placesTaken,
            waiting: sequences.count - placesTaken,
            work: WorkCounters(steps: counters.steps, prefillTokens: counters.tokens),
            prefixCache: pool.prefixCacheCounters)
    }

    /// Neither the engine nor the transport uses any block.
    public var isQuiescent: Bool { running == nil && leases.isEmpty }

    public func checkInvariants() {
        pool.checkInvariants()
        queue.checkInvariants()
        var references = leasedReferences + pool.pinnedReferences
        for chunk in running?.chunks ?? [] { references += chunk.blocks.count }
        var places = 0
        for (request, sequence) in sequences {
            sequence.checkInvariants(geometry: configuration.geometry)
            precondition(sequence.order.attempt.request == request, "\(sequence.order.attempt) held as \(request)")
            references += sequence.blocks.count + sequence.leased.count
            places += sequence.hasBegun ? 1 : 0
        }
        let counted = (0..<UInt32(pool.blockCount)).reduce(0) { $0 + pool.referenceCount(of: BlockID($1)) }
        precondition(references == counted, "\(references) references held, \(counted) counted in \(pool)")
        precondition(
            places == placesTaken && places <= configuration.maxSequences, "\(places) of \(placesTaken) places")
        precondition(queue.count <= sequences.count, "\(queue.count) queued of \(sequences.count) sequences")
    }
}

/// What a prefill worker has done since it registered.
public struct PrefillCounters: Sendable, Hashable {
    public var steps: UInt64 = 0
    /// Prompt tokens computed.
    public var tokens: UInt64 = 0
    /// Layer blocks sent, those sent again included.
    public var layerBlocks: UInt64 = 0
    public var refetchedLayerBlocks: UInt64 = 0
    public var transfers: UInt64 = 0
    public var retargets: UInt64 = 0
    public var failures: UInt64 = 0
}

/// One send of blocks that the transport still reads.
public struct LeaseID: Sendable, Hashable {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}
