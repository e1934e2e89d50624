import Generation
import Kernels

/// Which sequences of a step have leading partitions in the same blocks: forks of one request, queries over one cached prefix.
///
/// It is a trie over partitions, laid flat: sequences that share more stand closer together, each with the number of partitions
/// that it has in common with the one before. Whatever stands between two sequences shares at least what they do.
struct SharedPrefixes: Sendable {
    /// The sequences that have rows.
    private(set) var order: [Int] = []
    /// Whole partitions that each has in the same blocks as the one before it, `[order]`.
    private(set) var common: [Int] = []
    /// Blocks of the whole partitions of each sequence, `[sequences]`.
    private var wholeBlocks: [Int] = []

    mutating func update(_ batch: TokenBatch, blockSize: Int) {
        let blocksPerPartition = PagedAttention.partition / blockSize
        order.removeAll(keepingCapacity: true)
        wholeBlocks = [Int](repeating: 0, count: batch.sequenceCount)
        for row in 0..<batch.rowCount {
            let sequence = Int(batch.sequences[row])
            if order.last != sequence { order.append(sequence) }
            // Padding is nobody's: it stands for work that a dense tensor cannot save.
            if batch.isPadding[sequence] { continue }
            wholeBlocks[sequence] = (Int(batch.positions[row]) + 1) / PagedAttention.partition * blocksPerPartition
        }
        common = [Int](repeating: 0, count: order.count)
        guard sharesFirstBlock(batch) else { return }
        let tables = batch.blockTables, wholeBlocks = wholeBlocks
        order.sort { a, b in
            let shared = Self.commonBlocks(tables[a], tables[b], atMost: min(wholeBlocks[a], wholeBlocks[b]))
            guard shared < wholeBlocks[a], shared < wholeBlocks[b] else { return (wholeBlocks[a], a) < (wholeBlocks[b], b) }
            return tables[a][shared] < tables[b][shared]
        }
        for place in order.indices.dropFirst() {
            let a = order[place - 1], b = order[place]
            common[place] = Self.commonBlocks(tables[a], tables[b], atMost: min(wholeBlocks[a], wholeBlocks[b])) / blocksPerPartition
        }
    }

    /// Whether there is anything to share. Most steps have nothing, and keep their order.
    private func sharesFirstBlock(_ batch: TokenBatch) -> Bool {
        let first = order.compactMap { wholeBlocks[$0] > 0 ? batch.blockTables[$0][0] : nil }.sorted()
        return zip(first, first.dropFirst()).contains { $0 == $1 }
    }

    private static func commonBlocks(_ a: [Int32], _ b: [Int32], atMost most: Int) -> Int {
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                var count = 0
                while count < most, a[count] == b[count] { count += 1 }
                return count
            }
        }
    }
}
