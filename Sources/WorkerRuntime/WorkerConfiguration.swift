import ClusterCore
import Inference
import Transport

/// What a worker is told at its start.
public struct WorkerConfiguration: Sendable {
    public var worker: WorkerID
    public var role: WorkerRole
    /// Of the coordinator.
    public var coordinator: Endpoint
    /// Where the KV socket binds.
    public var listen: Endpoint
    /// How other workers reach it; `nil`: where it is bound.
    public var advertise: Endpoint?
    public var security: LinkSecurity
    /// Directory of a Hugging Face checkpoint.
    public var model: String
    public var weightFormat: WeightFormat
    public var kvFormat: KVFormat
    public var sharedAttention: SharedAttention
    /// Compute threads.
    public var threads: Int
    /// Where they run, in order; empty: anywhere.
    public var cores: [Int]
    /// Directory in which the workers of this host lend each other cores; `nil`: each keeps its own.
    public var coreLeases: String?
    /// Longest time from one iteration to the next of a batch that is not full, while prompts wait for its cores, as a multiple
    /// of what an iteration takes; 1: it never waits.
    public var lendingStretch = 1.0
    /// What rows of the lowest priority may add to the time of others' iterations, as a share of it.
    public var backgroundShare = Double.infinity
    /// Greatest number of threads with borrowed cores; `nil`: as many as the process has cores.
    public var maxThreads: Int?
    public var weightCache: WeightCache
    /// Called with the share of the weights packed, 0 ... 1.
    public var onPacking: @Sendable (Double) -> Void = { _ in }
    /// Memory for KV blocks.
    public var kvCacheBytes: Int
    /// Memory and files for the KV of queries that had to give way.
    public var parking: ParkingLot.Limits
    /// Where those files lie; `nil` without any.
    public var parkingDirectory: String?
    /// How many rows the batch may have.
    public var scaling: BatchScale.Configuration
    /// Tokens in a block.
    public var blockSize: Int
    /// Rows of the batch (decode, mixed) or prompts in flight (prefill).
    public var maxSequences: Int
    /// Tokens in one step (prefill, mixed); on a mixed worker at least `maxSequences`.
    public var maxBatchedTokens: Int
    /// Tokens of prompt and answer; `nil`: as the model allows.
    public var maxModelLength: Int?
    /// How steps are filled (decode, mixed).
    public var scheduling: Scheduling?
    /// KV blocks stay after their last use, for prompts that begin with the same tokens.
    public var cachesPrefixes: Bool

    public init(
        worker: WorkerID, role: WorkerRole, coordinator: Endpoint, listen: Endpoint, advertise: Endpoint?,
        security: LinkSecurity, model: String, weightFormat: WeightFormat, kvFormat: KVFormat = .auto,
        sharedAttention: SharedAttention = .auto, threads: Int, cores: [Int] = [], coreLeases: String? = nil,
        maxThreads: Int? = nil, weightCache: WeightCache = .off,
        kvCacheBytes: Int, parking: ParkingLot.Limits = .none, parkingDirectory: String? = nil,
        scaling: BatchScale.Configuration = .init(policy: .threshold), blockSize: Int,
        maxSequences: Int, maxBatchedTokens: Int, maxModelLength: Int?, scheduling: Scheduling? = nil,
        cachesPrefixes: Bool = true
    ) {
        self.worker = worker
        self.role = role
        self.coordinator = coordinator
        self.listen = listen
        self.advertise = advertise
        self.security = security
        self.model = model
        self.weightFormat = weightFormat
        self.kvFormat = kvFormat
        self.sharedAttention = sharedAttention
        self.threads = threads
        self.cores = cores
        self.coreLeases = coreLeases
        self.maxThreads = maxThreads
        self.weightCache = weightCache
        self.kvCacheBytes = kvCacheBytes
        self.parking = parking
        self.parkingDirectory = parkingDirectory
        self.scaling = scaling
        self.blockSize = blockSize
        self.maxSequences = maxSequences
        self.maxBatchedTokens = maxBatchedTokens
        self.maxModelLength = maxModelLength
        self.scheduling = scheduling ?? .standard(for: role)
        self.cachesPrefixes = cachesPrefixes
    }
}

/// A worker that cannot start or go on.
public enum WorkerError: Error, Sendable, CustomStringConvertible {
    case kvCacheTooSmall(bytes: Int, needed: Int)
    /// The coordinator will never have this worker.
    case refused(String)

    public var description: String {
        switch self {
        case .kvCacheTooSmall(let bytes, let needed):
            "--kv-cache-memory \(bytes): one block needs \(needed) bytes"
        case .refused(let reason): "the coordinator refuses this worker: \(reason)"
        }
    }
}
