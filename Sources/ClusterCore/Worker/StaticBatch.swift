/// Run to completion: when a batch is formed, and how wide it is until it ends.
///
/// A batch is formed when the former one has ended completely: at once if it fills all rows, else when nothing has arrived
/// for `patience`. The place of the last query to end is refilled a message's round trip later than the others, so without
/// any patience a batch would never be full.
struct StaticBatch: Sendable, Hashable {
    private enum Phase: Sendable, Hashable {
        /// So many prompts wait, since the latest of them came.
        case gathering(prompts: Int, since: Instant)
        /// So many queries began together.
        case running(width: Int)
    }

    let patience: Duration
    private var phase = Phase.running(width: 0)

    init(patience: Duration) { self.patience = patience }

    /// Queries of the running batch, those that have ended included.
    var width: Int { if case .running(let width) = phase { width } else { 0 } }

    mutating func plan(_ view: StepView, at now: Instant) -> StepPlan {
        // A boundary without rows has its duties all the same: what is parked wants to come back.
        let idle = StepPlan(advancesRows: true, prompts: .none)
        guard view.rows == 0 else {
            // Queries that were parked and are back make a batch of their own.
            if case .gathering = phase { phase = .running(width: 0) }
            return idle
        }
        guard case .gathering(view.prompts, let since) = phase else {
            phase = .gathering(prompts: view.prompts, since: now)
            return view.prompts < view.maxSequences ? idle : begin(view)
        }
        guard view.prompts > 0 else { return idle }
        return view.prompts >= view.maxSequences || now >= since + patience ? begin(view) : idle
    }

    private mutating func begin(_ view: StepView) -> StepPlan {
        let width = min(view.prompts, view.maxSequences)
        phase = .running(width: width)
        return StepPlan(advancesRows: true, prompts: .whole(count: width))
    }

    /// When the patience with a batch that is not full ends.
    var nextWakeUp: Instant? {
        guard case .gathering(let prompts, let since) = phase, prompts > 0 else { return nil }
        return since + patience
    }
}
