/// What every control message carries besides its content.
public struct Envelope: Sendable, Hashable {
    public var clusterEpoch: ClusterEpoch
    public var workerEpoch: WorkerEpoch
    /// Number of the message on this link in this direction, from 1. A gap means that messages were lost: both sides
    /// then start over with a new registration instead of guessing.
    public var sequence: UInt64

    public init(clusterEpoch: ClusterEpoch, workerEpoch: WorkerEpoch, sequence: UInt64) {
        self.clusterEpoch = clusterEpoch
        self.workerEpoch = workerEpoch
        self.sequence = sequence
    }
}
