import ClusterCore

/// From a prefill worker to a decode worker's KV socket.
public enum KVSending: Sendable {
    /// First message of a connection. Answered by ``KVReceiving/welcome(_:)``, or refused.
    case hello(KVHello)
    /// `open`, `commit` or `abort`.
    case message(KVMessage)
    /// Layer blocks and their bytes.
    case blocks(KVBlocks, KVPayload)
}

/// Back to the prefill worker.
public enum KVReceiving: Sendable, Hashable {
    case welcome(KVWelcome)
    case reply(KVReply)
}

public struct KVHello: Sendable, Hashable {
    public var worker: WorkerID
    public var epoch: ClusterEpoch
    /// Empty: only asks who is there (a health check).
    public var modelHash: String

    public init(worker: WorkerID, epoch: ClusterEpoch, modelHash: String) {
        self.worker = worker
        self.epoch = epoch
        self.modelHash = modelHash
    }
}

public struct KVWelcome: Sendable, Hashable {
    public var worker: WorkerID
    public var epoch: ClusterEpoch
    public var modelHash: String
    /// Whether the worker belongs to a cluster now.
    public var isRegistered: Bool

    public init(worker: WorkerID, epoch: ClusterEpoch, modelHash: String, isRegistered: Bool) {
        self.worker = worker
        self.epoch = epoch
        self.modelHash = modelHash
        self.isRegistered = isRegistered
    }
}
