/// What the engine of a mixed worker computes in one go: rows of the batch and chunks of prompts, one ragged token batch.
///
/// Samples are due for every row, then for every chunk that asks for one, in this order.
public struct MixedStep: Sendable, Hashable {
    /// In slot order, without gaps; one token each.
    public var rows: [DecodeIteration.Row]
    /// In order of rank, within what the rows leave of the token budget.
    public var chunks: [PrefillStep.Chunk]
    /// Computed as well, and thrown away; only for policies that batch dense tensors.
    public var padding: [Padding] = []

    /// Token rows of nobody, computed as a sequence whose KV is nowhere kept.
    public struct Padding: Sendable, Hashable {
        /// Position of the first.
        public var start: Int
        public var count: Int
    }

    /// Token rows of rows and chunks.
    public var tokenCount: Int { chunks.reduce(rows.count) { $0 + $1.tokens.count } }
    /// Token rows that are thrown away.
    public var paddingCount: Int { padding.reduce(0) { $0 + $1.count } }
}
