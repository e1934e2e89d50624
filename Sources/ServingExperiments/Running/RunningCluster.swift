/// How a cluster for a cell is to be made. Two cores in all, whatever the arm.
public struct ClusterSettings: Sendable, Hashable {
    public var arm: ServingArm
    public var rows: Int
    public var weights: String
    public var kv: String
    /// KV memory of the worker that decodes; of the one that only computes prompts, if the arm has one. An arm without
    /// gets both.
    public var decodeKVBytes: Int
    public var prefillKVBytes: Int
    /// Where the coordinator writes its trace, if anywhere.
    public var trace: String?
    /// For a job, what of it the workers are told.
    public var batchArm: BatchArm?
}

/// A cluster that serves, and is this cell's alone.
public struct RunningCluster: Sendable {
    /// Where clients connect.
    public var rpc: String
    /// Of all its processes.
    public var processIDs: [Int32]
    /// Returns when every process is gone.
    public var stop: @Sendable () async -> Void

    public init(rpc: String, processIDs: [Int32], stop: @escaping @Sendable () async -> Void) {
        self.rpc = rpc
        self.processIDs = processIDs
        self.stop = stop
    }
}

/// Starts clusters of real processes. The arms that a build can serve are the launcher's to know.
public protocol ClusterLauncher: Sendable {
    var arms: Set<ServingArm> { get }
    /// Returns when every worker is registered.
    func launch(_ settings: ClusterSettings) async throws -> RunningCluster
}
