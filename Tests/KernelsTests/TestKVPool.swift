@testable import Kernels

/// One sequence's K and V in a pool with blocks in shuffled places, everything else NaN.
final class TestKVPool {
    let layout: KVBlockLayout
    let kernels: KernelSet
    let table: [Int32]
    let memory: Memory
    let keys: [[Float]], values: [[Float]] // [positions][kvHeads * headDim]

    init(layout: KVBlockLayout, keys: [[Float]], values: [[Float]], seed: UInt64, kernels: KernelSet) throws {
        self.layout = layout
        self.kernels = kernels
        self.keys = keys
        self.values = values
        let count = (keys.count + layout.blockSize - 1) / layout.blockSize, blocks = count + 3
        var random = TestRandom(seed), order = (0..<Int32(blocks)).map { $0 }
        for i in order.indices.reversed() { order.swapAt(i, random.int(0...i)) }
        table = Array(order.prefix(count))
        memory = try Memory(byteCount: blocks * layout.byteCount)
        memory.base.initializeMemory(as: UInt8.self, repeating: 0xff, count: memory.byteCount) // NaN as float and as scale
        for (p, (k, v)) in zip(keys, values).enumerated() {
            layout.store(k: k, v: v, slot: p % layout.blockSize, of: block(p / layout.blockSize), kernels: kernels)
        }
    }

    func block(_ index: Int) -> UnsafeMutableRawPointer { memory.base + Int(table[index]) * layout.byteCount }

    /// One head of `vectors` as the format keeps it, and its scale.
    func stored(_ vectors: [Float], head: Int) -> ([Float], Float) {
        let vector = Array(vectors[head * layout.headDim..<(head + 1) * layout.headDim])
        switch layout.format {
        case .float32: return (vector, 1)
        case .bfloat16: return (vector.map(Reference.bfloat16), 1)
        case .int8: return Reference.int8(vector)
        }
    }

    /// `[rows][heads * headDim]`; with `shares`, partitions are computed in that many runs, the last ones first.
    func attend(_ q: [Float], positions: [Int32], group: Int, window: Int32?, shares: Int? = nil) throws -> [[Float]] {
        let width = layout.kvHeads * group * layout.headDim
        var out = [Float](repeating: .nan, count: positions.count * width)
        let scratch = try Memory(byteCount: PagedAttention.scratchByteCount)
        let floats = PagedAttention.partCount(queries: positions.count * group, headDim: layout.headDim)
        let first = max(0, Int(positions.first ?? 0) - Int(window ?? .max - 1) + 1) / 256
        let partitions = first..<Int(positions.last ?? 0) / 256 + 1
        let rows = positions.enumerated().map { index, position in
            PagedAttention.Row(
                query: index, out: index, table: 0, position: position, shared: index == 0 ? .partitions(0) : .sequence)
        }
        let parts = try Memory(byteCount: partitions.count * floats * 4)
        for head in 0..<layout.kvHeads {
            withPointers(q, rows, table, &out) { q, rows, out, table in
                let task = PagedAttention.Task(
                    q: q, out: out, queryStride: width, outStride: width, pool: UnsafeRawPointer(memory.base),
                    blockStride: layout.byteCount, tables: table, rows: rows, kvHead: head, group: group, window: window,
                    scale: 1 / Float(layout.headDim).squareRoot())
                guard let shares else {
                    var next = head + 1 < layout.kvHeads ? task : nil
                    next?.kvHead += 1
                    return PagedAttention.run(task, next: next, layout: layout, kernels: kernels, scratch: scratch.base)
                }
                for share in (0..<shares).reversed() {
                    let begin = partitions.count * share / shares, end = partitions.count * (share + 1) / shares
                    if begin == end { continue }
                    PagedAttention.run(
                        task, partitions: first + begin..<first + end, into: parts.floats() + begin * floats,
                        layout: layout, kernels: kernels, scratch: scratch.base)
                }
                PagedAttention.fold(task, parts: parts.floats(), layout: layout, kernels: kernels, scratch: scratch.base)
            }
        }
        return stride(from: 0, to: out.count, by: width).map { Array(out[$0..<$0 + width]) }
    }
}

/// Calls `body` with queries, rows, block tables and outputs as a task wants them.
func withPointers(
    _ q: [Float], _ rows: [PagedAttention.Row], _ tables: [Int32], _ out: inout [Float],
    _ body: (
        UnsafePointer<Float>, UnsafeBufferPointer<PagedAttention.Row>, UnsafeMutablePointer<Float>, UnsafePointer<Int32>
    ) -> Void
) {
    q.withUnsafeBufferPointer { q in
        rows.withUnsafeBufferPointer { rows in
            tables.withUnsafeBufferPointer { tables in
                out.withUnsafeMutableBufferPointer { out in
                    guard let q = q.baseAddress, let tables = tables.baseAddress, let out = out.baseAddress else { return }
                    body(q, rows, out, tables)
                }
            }
        }
    }
}
