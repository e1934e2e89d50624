import ClusterCore

/// What travels between the coordinator and its workers: control messages on one connection of a worker, heartbeats
/// on another.
public enum ControlMessage: Sendable, Hashable {
    case worker(Envelope, WorkerMessage)
    case coordinator(Envelope, CoordinatorMessage)
    /// First message of a worker's heartbeat connection.
    case heartbeatHello(WorkerID)
    case ping(Ping)
    case pong(Pong)
}
