/// How the KV of a batch lies in its pool.
public enum BatchLayout: Sendable, Hashable {
    /// Every row has its own blocks and no others: only block tables are shaped.
    case blockTables
    /// As one tensor `[rows, longest]`, in blocks: see ``DenseShaping``.
    case dense
}

/// Vector shaping of the BATON paper, in units of blocks: the KV of a batch is one tensor `[rows, width]`, as wide as its
/// longest row, and shorter rows have padding before their own blocks:
///
///     width 4:   · · A A     a query of 2 blocks
///                B B B B     the longest
///                · C C C
///
/// A query that is not longer than the width is padded to it. A longer one widens the tensor, and so every row's padding.
/// When the longest has left, the padding that all rows share is trimmed. A row whose padding changes is moved as a whole:
/// each of its own blocks is copied. Rows grow at their end, all in step, in place. (A tensor that is not made of blocks
/// would be copied for that as well; the paper's arm is given the better of it.)
///
/// Padding is never read: what a row attends to is its own length, at its own positions, so the bits are the same.
struct DenseShaping: Sendable, Hashable {
    /// One row of the tensor.
    struct Row: Sendable, Hashable {
        var padding: Int
        /// Its own.
        var blocks: Int
    }

    /// By how much the padding of each row that is there changes.
    var change: Int
    /// Padding of the row that enters.
    var padding: Int

    static func width(of rows: [Row]) -> Int { rows.reduce(0) { max($0, $1.padding + $1.blocks) } }

    /// A query of `blocks` blocks enters.
    static func insertion(of blocks: Int, into rows: [Row]) -> DenseShaping {
        let width = width(of: rows)
        return rows.isEmpty
            ? DenseShaping(change: 0, padding: 0)
            : DenseShaping(change: max(0, blocks - width), padding: max(0, width - blocks))
    }

    /// The longest has left, perhaps; `nil` if there is nothing to trim.
    static func trim(_ rows: [Row]) -> DenseShaping? {
        guard let shared = rows.map(\.padding).min(), shared > 0 else { return nil }
        return DenseShaping(change: -shared, padding: 0)
    }

    /// Blocks that it takes from the pool.
    func blocksNeeded(rows: Int) -> Int { max(0, change) * rows + padding }

    struct Copy: Sendable, Hashable {
        var from: BlockID
        var to: BlockID
    }

    /// A row's part of the tensor, its padding first.
    struct Placement: Sendable, Hashable {
        var padding: [BlockID]
        var blockTable: [BlockID]
        /// In the order in which they have to be made: no block is overwritten before it was copied.
        var copies: [Copy]
        /// Not part of the tensor any more.
        var freed: [BlockID]
    }

    /// Moves a row's blocks within its part of the tensor: to the end, into `added`, for more padding; to the front for less.
    static func move(padding: [BlockID], blockTable: [BlockID], adding added: [BlockID]) -> Placement {
        let cells = padding + blockTable + added, first = padding.count + added.count
        let copies = blockTable.indices.reversed().map { Copy(from: blockTable[$0], to: cells[first + $0]) }
        return Placement(
            padding: Array(cells[..<first]), blockTable: Array(cells[first...]), copies: copies, freed: [])
    }

    static func move(padding: [BlockID], blockTable: [BlockID], removing count: Int) -> Placement {
        precondition(count > 0 && count <= padding.count, "\(count) of \(padding.count) blocks of padding trimmed")
        let cells = padding + blockTable, first = padding.count - count, end = first + blockTable.count
        let copies = blockTable.indices.map { Copy(from: blockTable[$0], to: cells[first + $0]) }
        return Placement(
            padding: Array(cells[..<first]), blockTable: Array(cells[first..<end]), copies: copies,
            freed: Array(cells[end...]))
    }
}
