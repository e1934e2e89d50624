import ClusterCore

/// A way to run a job. Each adds one thing to the one before it; raw values name it in files, tables and on the command line.
public enum BatchArm: String, Sendable, Hashable, Codable, CaseIterable {
    /// First come, first served, every prompt computed whole.
    case none
    /// Blocks that nobody uses any more stay until memory is needed, the least recently used go first.
    case lru
    /// The job is planned: groups run together, and keep their prefix until the last member ends.
    case grouped
    /// Groups with the most answer tokens per prompt token first.
    case reordered
    /// As much at a time as KV memory holds.
    case memory
    /// Attention reads a shared prefix once for all rows.
    case shared

    /// Whether computed prefixes are kept for others.
    public var keepsPrefixes: Bool { self != .none }
    /// Whether groups are named to those who compute them.
    public var namesGroups: Bool { plannerOptions.grouping != .none }
    public var readsPrefixesOnce: Bool { self == .shared }
    /// Whether the batch is as large as memory allows.
    public var isSizedByMemory: Bool { self == .memory || self == .shared }

    public var plannerOptions: BatchPlanner.Options {
        switch self {
        case .none, .lru: BatchPlanner.Options(grouping: .none, order: .arrival)
        case .grouped: BatchPlanner.Options(order: .arrival)
        case .reordered, .memory, .shared: BatchPlanner.Options()
        }
    }
}
