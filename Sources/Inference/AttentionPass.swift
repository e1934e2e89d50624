import Kernels

/// The attention of one layer, as the threads of a step share it.
struct AttentionPass: Sendable {
    let plan: AttentionPlan
    /// `[rows, query width + …]`
    let q: Rows
    /// `[rows, query width]`
    let out: Rows
    let parts: Rows
    /// `[threads, attention scratch]`
    let perThread: Rows
    let positions: [Int32]
    let tables: RowTables
    let kv: KVCache
    let layer: Int
    let kernels: KernelSet

    /// Computes the units of one turn.
    func run(_ turn: Range<Int>, _ thread: Int) {
        for index in turn { run(plan.units[index], next: plan.unit(after: index, in: turn), thread) }
    }

    private func run(_ unit: AttentionPlan.Unit, next: AttentionPlan.Unit?, _ thread: Int) {
        withTask(unit.tile, unit.kvHead) { task in
            if let share = unit.share {
                return PagedAttention.run(task, partitions: share.partitions, into: parts.base + share.offset,
                                          layout: kv.layout, kernels: kernels, scratch: scratch(thread))
            }
            guard let next, next.share == nil else {
                return PagedAttention.run(task, layout: kv.layout, kernels: kernels, scratch: scratch(thread))
            }
            withTask(next.tile, next.kvHead) { next in
                PagedAttention.run(task, next: next, layout: kv.layout, kernels: kernels, scratch: scratch(thread))
            }
        }
    }

    func fold(_ fold: AttentionPlan.Fold, _ thread: Int) {
        withTask(fold.tile, fold.kvHead) { task in
            PagedAttention.fold(task, parts: parts.base + fold.offset, layout: kv.layout, kernels: kernels,
                                scratch: scratch(thread))
        }
    }

    private func scratch(_ thread: Int) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(perThread.base + thread * perThread.stride)
    }

    private func withTask(_ tile: AttentionTile, _ kvHead: Int, _ body: (PagedAttention.Task) -> Void) {
        tables.withTable(row: tile.row) { table in
            positions.withUnsafeBufferPointer { positions in
                guard let position = positions.baseAddress else { return }
                body(PagedAttention.Task(
                    q: q.base + tile.row * q.stride, out: out.base + tile.out * out.stride, queryStride: q.stride,
                    outStride: out.stride, pool: kv.address(layer: layer, block: 0), blockStride: kv.bytesPerBlockPerLayer,
                    table: table, positions: position + tile.row, rowCount: tile.count, kvHead: kvHead, group: plan.group,
                    window: plan.window, scale: 1 / Float(plan.headDim).squareRoot()))
            }
        }
    }
}
