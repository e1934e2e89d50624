@testable import Kernels
import Testing

/// Rows of several sequences in one task, with leading partitions in the same blocks: the bits of each row alone.
@Suite struct SharedAttentionTests {
    /// A tree of sequences: all share some partitions, some of them more, and each has a tail of its own.
    private struct Tree {
        var layout: KVBlockLayout
        var group: Int
        var window: Int32?
        var tables: [Int32] = []
        var rows: [PagedAttention.Row] = []
        var blockCount = 0
        var lastSlots: [Int32: Int] = [:] // of blocks that are not full

        init(_ random: inout TestRandom, layout: KVBlockLayout, group: Int) {
            self.layout = layout
            self.group = group
            window = random.int(0...3) == 0 ? Int32(random.int(1...700)) : nil
            let perPartition = 256 / layout.blockSize
            let stem = take(random.int(0...2) * perPartition)
            for _ in 0..<random.int(1...4) {
                let branch = take(random.int(0...2) * perPartition), members = random.int(1...5)
                for member in 0..<members {
                    let own = random.int(1...300), length = (stem.count + branch.count) * layout.blockSize + own
                    let table = stem + branch + take((own + layout.blockSize - 1) / layout.blockSize)
                    if own % layout.blockSize != 0, let last = table.last { lastSlots[last] = own % layout.blockSize }
                    append(table, length: length, rows: min(own, random.int(0...3) == 0 ? random.int(1...9) : 1),
                           shared: rows.isEmpty ? 0 : (stem.count + (member == 0 ? 0 : branch.count)) / perPartition)
                }
            }
        }

        private mutating func take(_ count: Int) -> [Int32] {
            defer { blockCount += count }
            return (blockCount..<blockCount + count).map(Int32.init)
        }

        private mutating func append(_ table: [Int32], length: Int, rows count: Int, shared: Int) {
            for offset in 0..<count {
                rows.append(PagedAttention.Row(
                    query: rows.count, out: rows.count, table: tables.count, position: Int32(length - count + offset),
                    shared: offset == 0 ? .partitions(shared) : .sequence))
            }
            tables += table
        }

        /// Blocks of random K and V, NaN behind the last token of each sequence.
        func pool(_ kernels: KernelSet, seed: UInt64) throws -> Memory {
            var random = TestRandom(seed)
            let memory = try Memory(byteCount: max(1, blockCount) * layout.byteCount), width = layout.kvHeads * layout.headDim
            memory.base.initializeMemory(as: UInt8.self, repeating: 0xff, count: memory.byteCount)
            for block in 0..<blockCount {
                for slot in 0..<(lastSlots[Int32(block)] ?? layout.blockSize) {
                    layout.store(k: random.floats(width).map { $0 * 3 }, v: random.floats(width), slot: slot,
                                 of: memory.base + block * layout.byteCount, kernels: kernels)
                }
            }
            return memory
        }

        /// Outputs of `rows` in one task for each KV head, `[all rows][heads * headDim]`, in the given shares of partitions.
        func attend(_ q: [Float], _ rows: [PagedAttention.Row], _ pool: Memory, _ kernels: KernelSet, shares: Int? = nil) throws -> [Float] {
            let width = layout.kvHeads * group * layout.headDim, count = 1 + (self.rows.map { Int($0.position) }.max() ?? 0) / 256
            var out = [Float](repeating: .nan, count: self.rows.count * width)
            let scratch = try Memory(byteCount: PagedAttention.scratchByteCount)
            let floats = PagedAttention.partCount(queries: rows.count * group, headDim: layout.headDim)
            let parts = try Memory(byteCount: count * floats * 4)
            withPointers(q, rows, tables, &out) { q, rows, out, tables in
                for head in 0..<layout.kvHeads {
                    let task = PagedAttention.Task(
                        q: q, out: out, queryStride: width, outStride: width, pool: UnsafeRawPointer(pool.base),
                        blockStride: layout.byteCount, tables: tables, rows: rows, kvHead: head, group: group, window: window,
                        scale: 1 / Float(layout.headDim).squareRoot())
                    run(task, kernels, scratch, parts, shares: shares)
                }
            }
            return out
        }

        private func run(
            _ task: PagedAttention.Task, _ kernels: KernelSet, _ scratch: Memory, _ parts: Memory, shares: Int?
        ) {
            guard let shares else {
                return PagedAttention.run(task, next: task, layout: layout, kernels: kernels, scratch: scratch.base)
            }
            let floats = PagedAttention.partCount(queries: task.rows.count * group, headDim: layout.headDim)
            let lowest = task.rows.map { window == nil ? 0 : max(0, Int($0.position) - Int(window ?? 0) + 1) / 256 }.min() ?? 0
            let count = (task.rows.map { Int($0.position) }.max() ?? 0) / 256 + 1 - lowest
            for share in (0..<shares).reversed() {
                let begin = count * share / shares, end = count * (share + 1) / shares
                if begin == end { continue }
                PagedAttention.run(
                    task, partitions: lowest + begin..<lowest + end, into: parts.floats() + begin * floats, layout: layout,
                    kernels: kernels, scratch: scratch.base)
            }
            PagedAttention.fold(task, parts: parts.floats(), layout: layout, kernels: kernels, scratch: scratch.base)
        }
    }

    @Test(arguments: 0..<72)
    func bitsAreThoseOfEachRowAlone(seed: Int) throws {
        var random = TestRandom(UInt64(seed) &* 7919)
        let formats: [(NumberFormat, Bool)] = [(.float32, false), (.bfloat16, false), (.bfloat16, true), (.int8, false)]
        let (format, isPaired) = formats[seed % 4]
        let headDim = [16, 64, 64, 80, 128, isPaired ? 32 : 34][random.int(0...5)]
        let layout = KVBlockLayout(
            kvHeads: random.int(1...2), headDim: headDim, blockSize: KVBlockLayout.blockSizes[random.int(0...4)], format: format,
            isPaired: isPaired)
        let tree = Tree(&random, layout: layout, group: [1, 1, 2, 3, 7, 9][random.int(0...5)])
        let width = layout.kvHeads * tree.group * headDim, q = random.floats(tree.rows.count * width)
        var expected: [String: [UInt32]] = [:]
        for kernels in KernelSet.all where kernels.multipliesPairs || !isPaired {
            let pool = try tree.pool(kernels, seed: UInt64(seed))
            var alone: [Float] = []
            for (index, row) in tree.rows.enumerated() {
                alone += try tree.attend(q, [row], pool, kernels)[index * width..<(index + 1) * width]
            }
            #expect(!alone.contains { $0.isNaN })
            let family = kernels.attentionFamily(format, isPaired: isPaired), wanted = expected[family] ?? bits(alone)
            expected[family] = wanted
            #expect(bits(alone) == wanted, "\(kernels), alone")
            #expect(try bits(tree.attend(q, tree.rows, pool, kernels)) == wanted, "\(kernels), \(layout)")
            guard tree.rows.count * tree.group <= PagedAttention.queriesPerTile else { continue }
            let shared = try tree.attend(q, tree.rows, pool, kernels, shares: random.int(1...5))
            #expect(bits(shared) == wanted, "\(kernels), \(layout), in shares")
        }
    }
}
