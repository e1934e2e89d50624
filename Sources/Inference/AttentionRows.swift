import Kernels

/// The rows of a step as attention takes them, and the tiles into which they are cut. The rows of a tile share loads of K and V:
/// they are consecutive ones of a sequence, or all of several sequences that have leading partitions in common.
struct AttentionRows: Sendable {
    private(set) var rows: [PagedAttention.Row] = []
    /// How many leading keys each row finds loaded by the one before it in its tile, `[rows]`.
    private(set) var loadedKeys: [Int] = []
    /// Ranges of ``rows``, one behind the other.
    private(set) var tiles: [Range<Int>] = []
    /// Keys of a KV head that sequences do not load for themselves.
    private(set) var savedKeys = 0
    /// Rows of one sequence, and the partitions that it has in common with the one before it.
    private var spans: [(rows: Range<Int>, common: Int)] = []
    /// Outputs of each sequence, `[sequences]`.
    private var outputs: [Range<Int>] = []

    /// Takes all rows of `batch`, or those whose logits are wanted, in tiles of at most `most` rows.
    mutating func update(
        _ batch: TokenBatch, prefixes: SharedPrefixes, tables: RowTables, sharing: SharedAttention, onlyLogitRows: Bool,
        atMost most: Int
    ) {
        order(batch, prefixes, tables, least: sharing.leastPartitions ?? .max, onlyLogitRows: onlyLogitRows)
        tiles.removeAll(keepingCapacity: true)
        savedKeys = 0
        var start = 0
        while start < spans.count {
            var end = start + 1
            while end < spans.count, spans[end].common > 0 { end += 1 }
            cut(start..<end, atMost: most)
            start = end
        }
    }

    private mutating func order(
        _ batch: TokenBatch, _ prefixes: SharedPrefixes, _ tables: RowTables, least: Int, onlyLogitRows: Bool
    ) {
        rows.removeAll(keepingCapacity: true)
        loadedKeys.removeAll(keepingCapacity: true)
        spans.removeAll(keepingCapacity: true)
        outputs = [Range<Int>](repeating: 0..<0, count: batch.sequenceCount)
        let count = onlyLogitRows ? batch.logitRows.count : batch.rowCount
        for out in 0..<count {
            let sequence = Int(batch.sequences[onlyLogitRows ? Int(batch.logitRows[out]) : out])
            outputs[sequence] = outputs[sequence].isEmpty ? out..<out + 1 : outputs[sequence].lowerBound..<out + 1
        }
        var common = 0
        for (place, sequence) in prefixes.order.enumerated() {
            common = min(common, prefixes.common[place])
            if outputs[sequence].isEmpty { continue }
            let shared = common >= least ? common : 0, first = rows.count
            for out in outputs[sequence] {
                let row = onlyLogitRows ? Int(batch.logitRows[out]) : out
                let isFirst = rows.count == first
                loadedKeys.append(isFirst ? shared * PagedAttention.partition : Int(rows[rows.count - 1].position) + 1)
                rows.append(PagedAttention.Row(
                    query: row, out: out, table: tables.start(row: row), position: batch.positions[row],
                    shared: isFirst ? .partitions(shared) : .sequence))
            }
            spans.append((first..<rows.count, shared))
            common = .max
        }
    }

    /// Cuts sequences that share something into tiles of nearly equal size. Those that fill a tile alone have their own.
    private mutating func cut(_ group: Range<Int>, atMost most: Int) {
        let begin = spans[group.lowerBound].rows.lowerBound, count = spans[group.upperBound - 1].rows.upperBound - begin
        let tileCount = (count + most - 1) / most, even = (count + tileCount - 1) / tileCount
        var tile = begin..<begin
        for index in group {
            let (rows, common) = spans[index]
            if !tile.isEmpty, tile.count + rows.count > even {
                tiles.append(tile)
                tile = rows.lowerBound..<rows.lowerBound
            }
            if !tile.isEmpty { savedKeys += common * PagedAttention.partition }
            tile = tile.lowerBound..<rows.upperBound
            while tile.count > most {
                tiles.append(tile.lowerBound..<tile.lowerBound + most)
                tile = tile.lowerBound + most..<tile.upperBound
            }
        }
        tiles.append(tile)
    }
}
