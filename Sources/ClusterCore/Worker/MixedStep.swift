/// What the engine of a mixed worker computes in one go: rows of the batch and chunks of prompts, one ragged token batch.
///
/// Samples are due for every row, then for every chunk that asks for one, in this order.
public struct MixedStep: Sendable, Hashable {
    /// In slot order, without gaps; one token each.
    public var rows: [DecodeIteration.Row]
    /// In order of rank, within what the rows leave of the token budget.
    public var chunks: [PrefillStep.Chunk]

    public var tokenCount: Int { chunks.reduce(rows.count) { $0 + $1.tokens.count } }
}
