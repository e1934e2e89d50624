import ClusterCore
import Generation

/// What has been served since the coordinator started, out of what the scheduler decides and observes.
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
    /// Groups of requests, as the scheduler has counted them.
    public var groups = GroupCounters()

    /// A request that is open.
    private struct Progress: Sendable {
        var submitted: Instant
        var firstToken: Instant?
        /// Of each choice.
        var lastTokens: [Instant?]
        var openChoices: Int
    }

    private var open: [RequestID: Progress] = [:]

    public init() {}

    /// A request that never became one.
    public mutating func noteRefusal(_ code: RequestFailure.Code) { refused[code, default: 0] &+= 1 }

    public mutating func noteAcceptance(_ acceptance: Acceptance, at now: Instant) {
        promptTokens &+= UInt64(clamping: acceptance.promptCount)
        let choices = Int(acceptance.choices)
        open[acceptance.request] = Progress(
            submitted: now, lastTokens: Array(repeating: nil, count: choices), openChoices: choices)
    }

    /// Tokens of a choice, computed in one step.
    public mutating func noteTokens(_ count: Int, of request: RequestID, choice: Int32, at now: Instant) {
        generationTokens &+= UInt64(count)
        guard var progress = open[request], progress.lastTokens.indices.contains(Int(choice)) else { return }
        if let last = progress.lastTokens[Int(choice)] {
            interTokenLatency.observe(now - last)
        } else if progress.firstToken == nil {
            progress.firstToken = now
            timeToFirstToken.observe(now - progress.submitted)
        }
        progress.lastTokens[Int(choice)] = now
        open[request] = progress
    }

    /// A choice has ended. The request's own times count once, with the last of them.
    public mutating func noteEnd(of request: RequestID, _ summary: RequestSummary, at now: Instant) {
        guard var progress = open[request] else { return }
        progress.openChoices -= 1
        open[request] = progress.openChoices > 0 ? progress : nil
        guard progress.openChoices <= 0 else { return }
        finished[summary.reason, default: 0] &+= 1
        requestLatency.observe(now - progress.submitted)
        queueTime.observe(summary.timings.queue)
        prefillTime.observe(summary.timings.prefill)
        transferTime.observe(summary.timings.transfer)
        if let first = progress.firstToken { decodeTime.observe(now - first) }
    }

    public mutating func noteFailure(_ code: RequestFailure.Code, of request: RequestID) {
        failed[code, default: 0] &+= 1
        open[request] = nil
    }

    /// What else the scheduler observes.
    public mutating func note(_ kind: ClusterEvent.Kind) {
        switch kind {
        case .parked: parks &+= 1
        case .retried: retries &+= 1
        default: break
        }
    }
}
