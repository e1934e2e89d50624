/// What a policy knows at the boundary between two steps.
struct StepView: Sendable, Hashable {
    /// Queries whose KV is whole, in rows already or about to enter them.
    var rows: Int
    /// Prompts that are not whole, begun or not.
    var prompts: Int
    /// Those of them, from the first in line on, that find a row when they are whole: a free one, or a less urgent query's.
    var promptsWithRow: Int
    var maxSequences: Int
}

/// What goes into the next step of a mixed worker.
struct StepPlan: Sendable, Hashable {
    enum Prompts: Sendable, Hashable {
        case none
        /// Chunks, in what the rows leave of so many tokens.
        case chunks(stepTokens: Int)
        /// At most so many prompts, each as a whole.
        case whole(count: Int)
    }

    /// The rows of the batch are decoded, and whole queries may enter them.
    var advancesRows: Bool
    var prompts: Prompts
}

/// How a mixed worker fills its steps: one of the four policies that compute prompts and rows in the same engine.
///
/// A policy decides which rows and prompts share a step, and which token rows are computed for nothing because the step is
/// a dense tensor. It knows no blocks and no tokens.
enum StepPolicy: Sendable {
    case chunked(stepTokens: Int)
    case orca
    case orcaPadded
    case runToCompletion(StaticBatch)

    init(_ configuration: MixedRole.Configuration) {
        switch configuration.scheduling {
        case .orca: self = .orca
        case .orcaPadded: self = .orcaPadded
        case .static: self = .runToCompletion(StaticBatch(patience: configuration.patience))
        case .mixed: self = .chunked(stepTokens: configuration.maxBatchedTokens)
        case .baton, .batonDense: preconditionFailure("\(configuration.scheduling) needs a decode worker")
        }
    }

    mutating func plan(_ view: StepView, at now: Instant) -> StepPlan {
        switch self {
        case .chunked(let stepTokens): return StepPlan(advancesRows: true, prompts: .chunks(stepTokens: stepTokens))
        case .orca: return StepPlan(advancesRows: true, prompts: .whole(count: view.promptsWithRow))
        case .orcaPadded:
            // New queries first, all that find a row together; the rows advance when there is nobody left to wait for.
            return view.promptsWithRow > 0
                ? StepPlan(advancesRows: false, prompts: .whole(count: view.promptsWithRow))
                : StepPlan(advancesRows: true, prompts: .none)
        case .runToCompletion(var batch):
            let plan = batch.plan(view, at: now)
            self = .runToCompletion(batch)
            return plan
        }
    }

    /// The token rows that the step computes besides its own, to be as dense as the policy's tensors are.
    /// - Parameter waiting: rows of the batch that are not in the step.
    func padding(of step: MixedStep, waiting: Int) -> StepPadding {
        switch self {
        case .chunked, .orca: StepPadding()
        case .orcaPadded: StepPadding(aligning: step.chunks, beside: waiting)
        case .runToCompletion(let batch):
            step.rows.isEmpty
                ? StepPadding(aligning: step.chunks, beside: 0)
                : StepPadding(replacing: batch.width - step.rows.count - waiting, in: step.rows)
        }
    }

    /// When to plan again although nothing has happened.
    var nextWakeUp: Instant? {
        if case .runToCompletion(let batch) = self { batch.nextWakeUp } else { nil }
    }
}
