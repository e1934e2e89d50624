/// Consecutive rows of one sequence that share the loads of K and V in attention.
struct AttentionTile: Sendable {
    /// First row in the batch, and in the output of attention.
    var row: Int
    var out: Int
    var count: Int

    /// Cuts all rows of `batch`, or those whose logits are wanted, into tiles of at most `most` rows.
    static func cut(_ batch: TokenBatch, atMost most: Int, onlyLogitRows: Bool, into tiles: inout [AttentionTile]) {
        tiles.removeAll(keepingCapacity: true)
        for out in 0..<(onlyLogitRows ? batch.logitRows.count : batch.rowCount) {
            let row = onlyLogitRows ? Int(batch.logitRows[out]) : out
            if let last = tiles.last, last.count < most, row == last.row + last.count,
               batch.sequences[row] == batch.sequences[last.row] {
                tiles[tiles.count - 1].count += 1
            } else {
                tiles.append(AttentionTile(row: row, out: out, count: 1))
            }
        }
    }
}
