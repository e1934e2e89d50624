import Generation

/// A picture of the cluster for people.
public struct ClusterStatus: Sendable, Hashable {
    public var epoch: ClusterEpoch
    public var modelName: String
    /// Requests without a worker yet.
    public var waiting: Int
    /// Requests that any worker holds.
    public var running: Int
    public var draining: Bool
    /// Sorted by worker id.
    public var workers: [WorkerStatus]
    /// Groups of requests that have ended.
    public var groups: GroupCounters

    public init(
        epoch: ClusterEpoch, modelName: String, waiting: Int, running: Int, draining: Bool, workers: [WorkerStatus],
        groups: GroupCounters = GroupCounters()
    ) {
        self.epoch = epoch
        self.modelName = modelName
        self.waiting = waiting
        self.running = running
        self.draining = draining
        self.workers = workers
        self.groups = groups
    }
}

public struct WorkerStatus: Sendable, Hashable {
    public enum State: String, Sendable, Hashable, CaseIterable {
        case ready
        /// Missed heartbeats, not yet given up.
        case suspect
        /// Finishes what it has and takes nothing new.
        case leaving
        case lost
    }

    public var worker: WorkerID
    public var role: WorkerRole
    public var state: State
    public var endpoint: String
    public var blockCount: Int
    public var maxSequences: Int
    /// As last reported.
    public var load: WorkerLoad
    /// How often it has been reported: tells whether `load` is news.
    public var reports: UInt64

    public init(
        worker: WorkerID, role: WorkerRole, state: State, endpoint: String, blockCount: Int, maxSequences: Int,
        load: WorkerLoad, reports: UInt64 = 0
    ) {
        self.worker = worker
        self.role = role
        self.state = state
        self.endpoint = endpoint
        self.blockCount = blockCount
        self.maxSequences = maxSequences
        self.load = load
        self.reports = reports
    }
}

/// Something that happened to a request, for watchers (the demo's live view, traces).
public struct ClusterEvent: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        case submitted(promptCount: Int, Priority)
        case assigned(prefill: WorkerID, decode: WorkerID)
        case prefillStarted(WorkerID)
        case firstToken(WorkerID)
        case kvWhole(WorkerID)
        case embedded(WorkerID, row: Int)
        case token(index: Int32)
        case left(WorkerID, row: Int)
        /// Taken out of the batch, its KV put aside.
        case parked(WorkerID)
        case resumed(WorkerID)
        case retried(String)
        case finished(FinishReason)
        case failed(RequestFailure.Code)
        case workerJoined(WorkerID, WorkerRole)
        case workerLost(WorkerID, String)
    }

    /// Since the coordinator started.
    public var time: Duration
    /// `nil` for events of a worker alone.
    public var request: RequestID?
    public var kind: Kind

    public init(time: Duration, request: RequestID?, kind: Kind) {
        self.time = time
        self.request = request
        self.kind = kind
    }
}
