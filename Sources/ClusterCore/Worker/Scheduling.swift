/// How a worker fills its steps: the arms that are measured against each other. Every one of them is a policy over the
/// same engine, and no answer depends on it.
public enum Scheduling: String, Sendable, Hashable, CaseIterable {
    /// Run to completion: a batch is formed, padded to its longest, and ends as a whole.
    case `static`
    /// Iteration-level scheduling and selective batching, as in Orca (OSDI 2022): a query that finds a row has its whole
    /// prompt computed beside the running rows, in one step.
    case orca
    /// Orca as the BATON paper pictures it: while prompts are computed, the running rows wait as padding of the same length.
    case orcaPadded = "orca-padded"
    /// Chunked prefill and decode in one token budget.
    case mixed
    /// Prompts are computed elsewhere, and only block tables are shaped.
    case baton
    /// The same with the paper's layout: KV padded to the longest row, shaped by copying.
    case batonDense = "baton-dense"

    /// The kind of worker that can schedule so.
    public var role: WorkerRole {
        switch self {
        case .static, .orca, .orcaPadded, .mixed: .mixed
        case .baton, .batonDense: .decode
        }
    }

    /// What a worker does that is not told otherwise; a prefill worker has no batch to schedule.
    public static func standard(for role: WorkerRole) -> Scheduling? {
        switch role {
        case .prefill: nil
        case .decode: .baton
        case .mixed: .mixed
        }
    }
}
