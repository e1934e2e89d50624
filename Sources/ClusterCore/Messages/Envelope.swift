/// What every control message carries besides its content.
///
/// The messages of a registration stand outside the link's numbering. `register` carries epochs 0 and, as `sequence`,
/// the ordinal of the registration since the worker's process started, the same in every repetition; `registered`
/// and `registrationRefused` echo that ordinal. `registerAgain` echoes the whole envelope of the message it answers.
/// So neither side ever acts on an answer to a question it no longer asks.
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

    /// The envelope of a worker's `register`, its `ordinal`th since the process started.
    public static func registration(ordinal: UInt64) -> Envelope {
        Envelope(clusterEpoch: ClusterEpoch(0), workerEpoch: WorkerEpoch(0), sequence: ordinal)
    }
}
