/// Names and fences: who a message is about and which life of the cluster it belongs to.

/// A request, numbered by the coordinator from 1 within one ``ClusterEpoch``, in order of admission.
public struct RequestID: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    public static func < (a: RequestID, b: RequestID) -> Bool { a.rawValue < b.rawValue }
    public var description: String { "r\(rawValue)" }
}

/// One try at serving a request. Any reassignment (worker lost, KV lost, retargeted transfer) makes a new one,
/// so that whatever still arrives from an older try is recognised and dropped.
public struct AttemptID: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let request: RequestID
    /// Ordinal of the try, from 1.
    public let ordinal: UInt32

    public init(request: RequestID, ordinal: UInt32) {
        self.request = request
        self.ordinal = ordinal
    }

    public var next: AttemptID { AttemptID(request: request, ordinal: ordinal + 1) }

    public static func < (a: AttemptID, b: AttemptID) -> Bool {
        (a.request.rawValue, a.ordinal) < (b.request.rawValue, b.ordinal)
    }

    public var description: String { "\(request).\(ordinal)" }
}

/// One life of the coordinator. A restarted coordinator has another one, and everything of the old one is void.
public struct ClusterEpoch: Sendable, Hashable, CustomStringConvertible {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    public var description: String { "e\(rawValue)" }
}

/// One registration of a worker, numbered by the coordinator from 1. A worker that was declared dead and wakes up
/// speaks with an old one and is refused until it registers again with nothing in its hands.
public struct WorkerEpoch: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    public static func < (a: WorkerEpoch, b: WorkerEpoch) -> Bool { a.rawValue < b.rawValue }
    public var description: String { "w\(rawValue)" }
}

/// The configured name of a worker; stays the same across restarts.
public struct WorkerID: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let name: String
    public init(_ name: String) { self.name = name }
    public static func < (a: WorkerID, b: WorkerID) -> Bool { a.name < b.name }
    public var description: String { name }
}

public enum WorkerRole: String, Sendable, Hashable, CaseIterable {
    case prefill
    case decode
    /// Both: computes prompts and decodes them in the same steps, out of one pool.
    case mixed

    public var computesPrompts: Bool { self != .decode }
    public var decodes: Bool { self != .prefill }
}

/// Index of a KV block in one worker's pool.
public struct BlockID: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let rawValue: UInt32
    public init(_ rawValue: UInt32) { self.rawValue = rawValue }
    public static func < (a: BlockID, b: BlockID) -> Bool { a.rawValue < b.rawValue }
    public var description: String { "b\(rawValue)" }
}

/// Importance of a request; a higher one is served first.
public enum Priority: Int, Sendable, Hashable, Comparable, CaseIterable {
    case low = -1
    case normal = 0
    case high = 1
    public static func < (a: Priority, b: Priority) -> Bool { a.rawValue < b.rawValue }
}
