/// Liveness, on a connection of its own so that it never queues behind anything.

/// From the coordinator, every 250 ms.
public struct Ping: Sendable, Hashable {
    public var clusterEpoch: ClusterEpoch
    public var workerEpoch: WorkerEpoch
    /// Number of this ping.
    public var sequence: UInt64
    /// Messages sent so far on the control link: what the worker should have seen soon.
    public var controlSent: UInt64

    public init(clusterEpoch: ClusterEpoch, workerEpoch: WorkerEpoch, sequence: UInt64, controlSent: UInt64) {
        self.clusterEpoch = clusterEpoch
        self.workerEpoch = workerEpoch
        self.sequence = sequence
        self.controlSent = controlSent
    }
}

/// The worker's answer, echoing the ping.
public struct Pong: Sendable, Hashable {
    public var worker: WorkerID
    public var clusterEpoch: ClusterEpoch
    public var workerEpoch: WorkerEpoch
    public var sequence: UInt64
    /// Messages sent so far on the control link.
    public var controlSent: UInt64
    public var load: WorkerLoad

    public init(
        worker: WorkerID, clusterEpoch: ClusterEpoch, workerEpoch: WorkerEpoch, sequence: UInt64, controlSent: UInt64,
        load: WorkerLoad
    ) {
        self.worker = worker
        self.clusterEpoch = clusterEpoch
        self.workerEpoch = workerEpoch
        self.sequence = sequence
        self.controlSent = controlSent
        self.load = load
    }
}
