import Generation

/// One iteration of the running batch: one token for every row.
public struct DecodeIteration: Sendable, Hashable {
    /// In slot order, without gaps.
    public var rows: [Row]

    public struct Row: Sendable, Hashable {
        /// Number under which people see the row; stable from embedding to leaving.
        public var slot: Int
        public var attempt: AttemptID
        /// The token to run through the model; its KV is written at `position`.
        public var input: TokenID
        public var position: Int
        /// Blocks that hold positions `0 ... position`, in order.
        public var blockTable: [BlockID]
        /// How to sample the token that follows.
        public var sampling: SamplingContext

        /// The mask: how many positions the row's query sees, its own included.
        public var length: Int { position + 1 }
    }

    /// Width of the batch's block tables when shaped `[rows, longestTable]`.
    public var longestTable: Int { rows.reduce(0) { max($0, $1.blockTable.count) } }
}
