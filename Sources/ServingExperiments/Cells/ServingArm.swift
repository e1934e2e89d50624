/// A way of serving under test. Raw values name it in files, tables and on the command line.
public enum ServingArm: String, Sendable, Hashable, Codable, CaseIterable {
    /// A batch runs to completion, padded.
    case `static`
    /// Iteration-level selective batching, the prompt prefilled inline.
    case orca
    /// The paper's reading of it: the rows of the batch wait padded while a query prefills.
    case orcaPadded = "orca-padded"
    /// Separated workers, KV padded to the longest row and shaped by copying.
    case batonDense = "baton-dense"
    /// Separated workers, block tables; each worker keeps its own core.
    case baton
    /// The same, with cores lent between the workers.
    case batonLent = "baton-lent"
    /// Chunks of prompts beside the rows of the batch, in one step.
    case mixed

    /// Whether prompts are computed by a worker of their own.
    public var isSeparated: Bool {
        switch self {
        case .batonDense, .baton, .batonLent: true
        case .static, .orca, .orcaPadded, .mixed: false
        }
    }
}
