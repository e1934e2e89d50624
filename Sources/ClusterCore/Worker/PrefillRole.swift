import Collections
import Generation

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
        /// The samples of the chunks that asked for one.
        case stepFinished([Sample])
        /// The transport reads the blocks of this send no more (it was sent, or dropped).
        case sent(LeaseID)
        /// The connection broke: what was in flight may be lost.
        case peerUnreachable(WorkerID)
        case tick
    }

    public enum Action: Sendable, Hashable {
        case send(KVMessage, to: KVDestination)
        /// `from` are the local blocks, one for each layer block of the message, to be left alone until ``Event/sent(_:)``.
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

        public init(
            clusterEpoch: ClusterEpoch, workerEpoch: WorkerEpoch, modelHash: String, geometry: KVGeometry,
            blockCount: Int, maxSequences: Int, maxBatchedTokens: Int = 512, maxModelLength: Int,
            timings: TransferTimings = TransferTimings()
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
        }
    }

    public let configuration: Configuration

    public init(_ configuration: Configuration) { self.configuration = configuration }

    public mutating func handle(_ event: Event, at now: Instant) -> [Action] { preconditionFailure("to be written") }

    /// Plans the next step; `nil` when there is nothing to compute. The engine must be idle.
    /// The actions come before the step.
    public mutating func nextStep(at now: Instant) -> (step: PrefillStep?, actions: [Action]) {
        preconditionFailure("to be written")
    }

    /// When ``Event/tick`` is due; `nil` while nothing is held.
    public var timeOfNextWakeUp: Instant? { nil }
    public var load: WorkerLoad { WorkerLoad() }
    /// Neither the engine nor the transport uses any block.
    public var isQuiescent: Bool { true }
    public func checkInvariants() {}
}

/// One send of blocks that the transport still reads.
public struct LeaseID: Sendable, Hashable {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}
