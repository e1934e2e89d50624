import Collections
import Generation

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
        case tick
    }

    public enum Action: Sendable, Hashable {
        case reply(PeerID, KVReply)
        case report(WorkerMessage)
        /// Copy all layers of a block, before the next iteration starts.
        case copyBlock(from: BlockID, to: BlockID)
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
        public var timings: TransferTimings

        public init(
            clusterEpoch: ClusterEpoch, workerEpoch: WorkerEpoch, modelHash: String, geometry: KVGeometry,
            blockCount: Int, maxSequences: Int, maxModelLength: Int, creditWindow: Int = 256,
            timings: TransferTimings = TransferTimings()
        ) {
            self.clusterEpoch = clusterEpoch
            self.workerEpoch = workerEpoch
            self.modelHash = modelHash
            self.geometry = geometry
            self.blockCount = blockCount
            self.maxSequences = maxSequences
            self.maxModelLength = maxModelLength
            self.creditWindow = creditWindow
            self.timings = timings
        }
    }

    public let configuration: Configuration

    public init(_ configuration: Configuration) { self.configuration = configuration }

    public mutating func handle(_ event: Event, at now: Instant) -> [Action] { preconditionFailure("to be written") }

    /// Where the layer blocks of a message belong, one block for each; asked before any payload is copied.
    public func destination(for blocks: KVBlocks) -> Result<[BlockID], KVRefusal> {
        preconditionFailure("to be written")
    }

    /// Embeds what is whole and plans the next iteration; `nil` when no row is left. The engine must be idle.
    /// The actions come before the iteration.
    public mutating func nextIteration(at now: Instant) -> (iteration: DecodeIteration?, actions: [Action]) {
        preconditionFailure("to be written")
    }

    /// When ``Event/tick`` is due; `nil` while no transfer is awaited.
    public var timeOfNextWakeUp: Instant? { nil }
    public var load: WorkerLoad { WorkerLoad() }
    public func checkInvariants() {}
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
