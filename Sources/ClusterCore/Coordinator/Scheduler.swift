import Generation

/// The coordinator's decisions: who prefills what, which decode batch it joins, and what happens when somebody fails.
public struct Scheduler: Sendable {
    public let configuration: Configuration
    public let clusterEpoch: ClusterEpoch

    public init(configuration: Configuration, clusterEpoch: ClusterEpoch) {
        self.configuration = configuration
        self.clusterEpoch = clusterEpoch
    }

    public mutating func handle(_ event: Event, at now: Instant) -> [Action] { preconditionFailure("to be written") }

    public var status: ClusterStatus { preconditionFailure("to be written") }

    public func checkInvariants() {}
}
