@testable import Kernels
import Testing

@Suite struct PagedAttentionTests {
    /// One sequence's K and V in a pool with blocks in shuffled places, everything else NaN.
    final class Pool {
        let layout: KVBlockLayout
        let table: [Int32]
        let memory: Memory
        let keys: [[Float]], values: [[Float]] // [positions][kvHeads * headDim], as stored

        init(layout: KVBlockLayout, keys: [[Float]], values: [[Float]], seed: UInt64) throws {
            self.layout = layout
            let round = layout.format == .float32 ? { (x: Float) in x } : Reference.bfloat16
            self.keys = keys.map { $0.map(round) }
            self.values = values.map { $0.map(round) }
            let count = (keys.count + layout.blockSize - 1) / layout.blockSize, blocks = count + 3
            var random = TestRandom(seed), order = (0..<Int32(blocks)).map { $0 }
            for i in order.indices.reversed() { order.swapAt(i, random.int(0...i)) }
            table = Array(order.prefix(count))
            memory = try Memory(byteCount: blocks * layout.byteCount)
            memory.base.initializeMemory(as: UInt8.self, repeating: 0xff, count: memory.byteCount) // NaN in both formats
            for (p, (k, v)) in zip(keys, values).enumerated() {
                let block = memory.base + Int(table[p / layout.blockSize]) * layout.byteCount
                layout.store(k: k, v: v, slot: p % layout.blockSize, of: block)
            }
        }

        /// [rows][heads * headDim]
        func attend(
            _ q: [Float], positions: [Int32], group: Int, window: Int32?, kernels: KernelSet
        ) throws -> [[Float]] {
            let width = layout.kvHeads * group * layout.headDim
            var out = [Float](repeating: .nan, count: positions.count * width)
            let scratch = try Memory(byteCount: PagedAttention.scratchByteCount)
            for head in 0..<layout.kvHeads {
                q.withUnsafeBufferPointer { q in
                    out.withUnsafeMutableBufferPointer { out in
                        guard let q = q.baseAddress, let out = out.baseAddress else { return }
                        let task = PagedAttention.Task(
                            q: q, out: out, queryStride: width, outStride: width, pool: UnsafeRawPointer(memory.base),
                            blockStride: layout.byteCount, table: table, positions: positions, rowCount: positions.count,
                            kvHead: head, group: group, window: window, scale: 1 / Float(layout.headDim).squareRoot())
                        PagedAttention.run(task, layout: layout, kernels: kernels, scratch: scratch.base)
                    }
                }
            }
            return stride(from: 0, to: out.count, by: width).map { Array(out[$0..<$0 + width]) }
        }
    }

    struct Case: CustomTestStringConvertible, Sendable {
        var headDim: Int, kvHeads: Int, group: Int, length: Int, window: Int32?, format: NumberFormat
        var testDescription: String { "\(length) tokens, \(kvHeads)x\(group) heads of \(headDim), window \(window ?? 0), \(format)" }
    }

    static let cases = [
        Case(headDim: 10, kvHeads: 1, group: 5, length: 40, window: nil, format: .float32),
        Case(headDim: 64, kvHeads: 2, group: 7, length: 300, window: nil, format: .bfloat16),
        Case(headDim: 2, kvHeads: 3, group: 1, length: 17, window: 4, format: .float32),
        Case(headDim: 130, kvHeads: 1, group: 3, length: 530, window: 261, format: .bfloat16),
        Case(headDim: 24, kvHeads: 1, group: 40, length: 260, window: 40, format: .float32),
        Case(headDim: 256, kvHeads: 1, group: 1, length: 257, window: nil, format: .float32),
    ]

    /// Every instruction set, block size, placement and tile of rows gives the bits of the plain formula, with NaN in
    /// every slot that is not visible.
    @Test(arguments: cases)
    func bitsAreThoseOfTheFormula(test: Case) throws {
        var random = TestRandom(UInt64(test.headDim * 1000 + test.length))
        let width = test.kvHeads * test.headDim
        let keys = (0..<test.length).map { _ in random.floats(width).map { $0 * 3 } }
        let values = (0..<test.length).map { _ in random.floats(width) }
        // Rows like a prefill chunk's: consecutive, the last ones of the sequence; and a lone one.
        let rows = min(test.length, 11), heads = test.kvHeads * test.group
        let positions = (test.length - rows..<test.length).map(Int32.init)
        let q = random.floats(rows * heads * test.headDim)
        var expected: [[UInt32]]?
        for blockSize in KVBlockLayout.blockSizes {
            let layout = KVBlockLayout(kvHeads: test.kvHeads, headDim: test.headDim, blockSize: blockSize, format: test.format)
            let pool = try Pool(layout: layout, keys: keys, values: values, seed: UInt64(blockSize))
            if expected == nil { expected = reference(q, positions, test, pool) }
            for kernels in KernelSet.all {
                let out = try pool.attend(q, positions: positions, group: test.group, window: test.window, kernels: kernels)
                #expect(out.map(bits) == expected, "\(kernels), blocks of \(blockSize)")
                let one = try pool.attend(Array(q.suffix(heads * test.headDim)), positions: positions.suffix(1),
                                          group: test.group, window: test.window, kernels: kernels)
                #expect(one.map(bits) == expected.map { [$0[rows - 1]] }, "\(kernels), blocks of \(blockSize), one row")
            }
        }
    }

    private func reference(_ q: [Float], _ positions: [Int32], _ test: Case, _ pool: Pool) -> [[UInt32]] {
        let dim = test.headDim, width = test.kvHeads * test.group * dim
        return positions.enumerated().map { row, position in
            (0..<test.kvHeads * test.group).flatMap { head in
                let query = Array(q[row * width + head * dim..<row * width + (head + 1) * dim]), from = head / test.group * dim
                return bits(Reference.attention(
                    query, position: Int(position), window: test.window.map(Int.init),
                    key: { Array(pool.keys[$0][from..<from + dim]) }, value: { Array(pool.values[$0][from..<from + dim]) }))
            }
        }
    }
}
