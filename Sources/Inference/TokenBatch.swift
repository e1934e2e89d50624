import Generation

/// The token rows of one forward pass: prefill chunks and decode rows side by side, of any lengths.
///
/// Row i is token `tokens[i]` at `positions[i]` of sequence `sequences[i]`. Rows of one sequence are consecutive, with
/// consecutive ascending positions; K and V of every earlier position have been stored by earlier passes (or received
/// from elsewhere).
public struct TokenBatch: Sendable, Hashable {
    /// Index into ``blockTables``, `[rows]`.
    public private(set) var sequences: [Int32] = []
    /// Position within the query's own tokens, from 0, `[rows]`.
    public private(set) var positions: [Int32] = []
    /// `[rows]`
    public private(set) var tokens: [TokenID] = []
    /// Block ids of each sequence, `[sequences][blocks]`; position p lies in block `p / blockSize`. Entries past the last
    /// position of the sequence's rows are not read.
    public private(set) var blockTables: [[Int32]] = []
    /// Sequences of padding, `[sequences]`: computed like others, but their K and V are not stored, and they see what lies
    /// in the null block (``KVCache/nullBlock``).
    public private(set) var isPadding: [Bool] = []
    /// Rows whose logits are wanted, ascending.
    public private(set) var logitRows: [Int32] = []

    public var rowCount: Int { tokens.count }
    public var sequenceCount: Int { blockTables.count }

    public init() {}

    /// Adds `tokens` of one sequence at positions `start`, `start + 1`, …; a decode row is a single token.
    /// Logits are wanted of the last of them, of all, of some, or of none.
    public mutating func append(
        _ tokens: some Collection<TokenID>, at start: Int32, blockTable: [Int32], logits: LogitsWanted = .last
    ) {
        precondition(!tokens.isEmpty, "a sequence without tokens")
        let first = Int32(rowCount)
        appendSequence(tokens, at: start, blockTable: blockTable, isPadding: false)
        switch logits {
        case .none: break
        case .last: logitRows.append(Int32(rowCount) - 1)
        case .all: logitRows.append(contentsOf: first..<Int32(rowCount))
        case .within(let rows, let last):
            precondition(rows.lowerBound >= 0 && rows.upperBound <= tokens.count, "rows \(rows) of \(tokens.count)")
            logitRows.append(contentsOf: rows.map { first + Int32($0) })
            if last, rows.isEmpty || rows.upperBound < tokens.count { logitRows.append(Int32(rowCount) - 1) }
        }
    }

    public enum LogitsWanted: Sendable, Hashable {
        case none, last, all
        /// Consecutive rows, counted from the first of the sequence's, and with `last` the last one if it is not among them.
        case within(Range<Int>, last: Bool)
    }

    /// Adds `count` rows that are computed and thrown away, as a dense tensor has them where a sequence is shorter than the
    /// longest, at positions `start`, `start + 1`, … of nobody's sequence.
    public mutating func appendPadding(count: Int, at start: Int32, in kv: KVCache) {
        precondition(count > 0 && start >= 0, "\(count) rows of padding at \(start)")
        let blocks = (Int(start) + count - 1) / kv.blockSize + 1
        appendSequence(
            repeatElement(0, count: count), at: start, blockTable: Array(repeating: kv.nullBlock, count: blocks),
            isPadding: true)
    }

    private mutating func appendSequence(
        _ tokens: some Collection<TokenID>, at start: Int32, blockTable: [Int32], isPadding: Bool
    ) {
        let sequence = Int32(blockTables.count)
        blockTables.append(blockTable)
        self.isPadding.append(isPadding)
        for (offset, token) in tokens.enumerated() {
            sequences.append(sequence)
            positions.append(start &+ Int32(truncatingIfNeeded: offset))
            self.tokens.append(token)
        }
    }

    /// Empties the batch and keeps its storage for the next step.
    public mutating func removeAll() {
        sequences.removeAll(keepingCapacity: true)
        positions.removeAll(keepingCapacity: true)
        tokens.removeAll(keepingCapacity: true)
        blockTables.removeAll(keepingCapacity: true)
        isPadding.removeAll(keepingCapacity: true)
        logitRows.removeAll(keepingCapacity: true)
    }
}
