/// Block tables of a batch, one behind the other, found by row.
struct RowTables: Sendable {
    private var blocks: [Int32] = []
    /// Where each row's table begins, `[rows]`.
    private var starts: [Int] = []

    mutating func update(_ batch: TokenBatch) {
        blocks.removeAll(keepingCapacity: true)
        starts.removeAll(keepingCapacity: true)
        var start = 0, sequence: Int32 = -1
        for row in 0..<batch.rowCount {
            if batch.sequences[row] != sequence {
                sequence = batch.sequences[row]
                start = blocks.count
                blocks.append(contentsOf: batch.blockTables[Int(sequence)])
            }
            starts.append(start)
        }
    }

    /// The `index`-th block of the sequence of `row`.
    func block(row: Int, index: Int) -> Int32 { blocks[starts[row] + index] }

    /// Where the table of the sequence of `row` begins among ``all``.
    func start(row: Int) -> Int { starts[row] }

    /// The tables, one behind the other.
    var all: [Int32] { blocks }
}
