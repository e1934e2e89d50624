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
    let tables: RowTables
    let kv: KVCache
    let layer: Int
    let kernels: KernelSet

    func run(on team: ThreadTeam) {
        team.forEachRange(of: plan.units.count, chunk: plan.unitsPerTurn, threads: plan.threads, isLong: isLong) { turn, thread in
            run(turn, thread)
        }
        team.forEachRange(of: plan.folds.count, chunk: 1, threads: plan.threads) { folds, thread in
            for index in folds { fold(plan.folds[index], thread) }
        }
    }

    /// Whether it takes so long that threads should not have to wait for its end.
    private var isLong: Bool { out.count >= Self.leastRowsOfLong }

    static let leastRowsOfLong = 64

    /// Computes the units of one turn.
    private func run(_ turn: Range<Int>, _ thread: Int) {
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

    private func fold(_ fold: AttentionPlan.Fold, _ thread: Int) {
        withTask(fold.tile, fold.kvHead) { task in
            PagedAttention.fold(task, parts: parts.base + fold.offset, layout: kv.layout, kernels: kernels,
                                scratch: scratch(thread))
        }
    }

    private func scratch(_ thread: Int) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(perThread.base + thread * perThread.stride)
    }

    private func withTask(_ tile: Range<Int>, _ kvHead: Int, _ body: (PagedAttention.Task) -> Void) {
        tables.all.withUnsafeBufferPointer { tables in
            plan.rows.withUnsafeBufferPointer { rows in
                guard let table = tables.baseAddress else { return }
                body(PagedAttention.Task(
                    q: q.base, out: out.base, queryStride: q.stride, outStride: out.stride,
                    pool: kv.address(layer: layer, block: 0), blockStride: kv.bytesPerBlockPerLayer, tables: table,
                    rows: UnsafeBufferPointer(rebasing: rows[tile]), kvHead: kvHead, group: plan.group, window: plan.window,
                    scale: 1 / Float(plan.headDim).squareRoot()))
            }
        }
    }
}
