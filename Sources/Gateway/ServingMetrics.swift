import ClusterCore
import Generation

/// What has been served since the coordinator started, out of what the scheduler observes.
public struct ServingMetrics: Sendable {
    public private(set) var promptTokens: UInt64 = 0
    public private(set) var generationTokens: UInt64 = 0
    /// Requests that were answered, by why they ended.
    public private(set) var finished: [FinishReason: UInt64] = [:]
    /// Requests that were accepted and not answered, by why.
    public private(set) var failed: [RequestFailure.Code: UInt64] = [:]
    /// Requests that were refused before any work, by why.
    public private(set) var refused: [RequestFailure.Code: UInt64] = [:]
    /// Rows taken out of a batch for others, their KV put aside.
    public private(set) var parks: UInt64 = 0
    /// Further attempts at a request, after an eviction or the loss of a worker.
    public private(set) var retries: UInt64 = 0
    public private(set) var timeToFirstToken = Histogram.phase
    public private(set) var interTokenLatency = Histogram.token
    public private(set) var requestLatency = Histogram.phase
    public private(set) var queueTime = Histogram.phase
    public private(set) var prefillTime = Histogram.phase
    public private(set) var transferTime = Histogram.phase
    public private(set) var decodeTime = Histogram.phase

    /// An open request: when it reached which phase.
    private struct Progress: Sendable {
        var submitted: Duration
        var prefillStarted: Duration?
        var firstToken: Duration?
        var lastToken: Duration?
        var hasTransferred = false
    }

    private var open: [RequestID: Progress] = [:]

    public init() {}

    /// A request that never became one.
    public mutating func takeRefusal(_ code: RequestFailure.Code) { refused[code, default: 0] &+= 1 }

    /// Events of a request in order; times since the coordinator started.
    public mutating func take(_ event: ClusterEvent) {
        guard let request = event.request else { return }
        if case .submitted(let promptCount, _) = event.kind {
            promptTokens &+= UInt64(promptCount)
            open[request] = Progress(submitted: event.time)
            return
        }
        guard var progress = open[request] else { return }
        switch event.kind {
        case .prefillStarted where progress.prefillStarted == nil:
            progress.prefillStarted = event.time
            queueTime.observe(event.time - progress.submitted)
        case .token:
            generationTokens &+= 1
            if let last = progress.lastToken {
                interTokenLatency.observe(event.time - last)
            } else {
                progress.firstToken = event.time
                timeToFirstToken.observe(event.time - progress.submitted)
                prefillTime.observe(event.time - (progress.prefillStarted ?? progress.submitted))
            }
            progress.lastToken = event.time
        case .kvWhole where !progress.hasTransferred:
            progress.hasTransferred = true
            // The last blocks may arrive before the first token does.
            transferTime.observe(event.time - (progress.firstToken ?? event.time))
        case .parked: parks &+= 1
        case .retried: retries &+= 1
        case .finished(let reason):
            finished[reason, default: 0] &+= 1
            end(progress, at: event.time)
            open[request] = nil
            return
        case .failed(let code):
            failed[code, default: 0] &+= 1
            open[request] = nil
            return
        default: return
        }
        open[request] = progress
    }

    private mutating func end(_ progress: Progress, at time: Duration) {
        requestLatency.observe(time - progress.submitted)
        if let first = progress.firstToken { decodeTime.observe(time - first) }
    }
}
