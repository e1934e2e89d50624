import Kernels

/// Memory of the forward pass, reused from step to step; it grows with the largest batch seen.
final class ForwardScratch {
    let hidden: ScratchRows        // [rows, hidden]: the residual stream
    let qkv: ScratchRows           // [rows, query width + 2 KV width]
    let attention: ScratchRows     // [rows, query width]
    let delta: ScratchRows         // [rows, hidden]: what a half layer adds to the stream
    let gateUp: ScratchRows        // [rows, 2 intermediate padded]; for OpenBLAS alone
    let logits: ScratchRows        // [logit rows, vocabulary]
    let rope: ScratchRows          // [rows, head dim]: cosines, then sines
    let normed: Activations        // [rows, hidden]
    let attended: Activations      // [rows, query width]
    let activated: Activations     // [rows, intermediate]
    let perThread: Rows            // [threads, attention scratch]
    let rowPerThread: Rows         // [threads, hidden]
    let gatedPerThread: Rows       // [threads, scratch of gated products]
    private let threadMemory: Memory
    private let rowMemory: Memory
    private let gatedMemory: Memory
    private(set) var rowTables = RowTables()
    private var prefixes = SharedPrefixes()
    private(set) var readAhead = KVReadAhead()
    /// How attention is cut into tasks, one plan for each sliding window that a layer has: over all rows, and over the
    /// rows whose logits are wanted.
    private var plans: [AttentionPlan]
    private var logitPlan: AttentionPlan
    private let planOfLayer: [Int]
    /// `[…][64]`: results of partitions that another unit folds.
    private let parts: ScratchRows

    init(model: Model, maxThreads: Int) throws(KernelError) {
        let c = model.configuration
        let windows = Array(Set(c.windows))
        planOfLayer = c.windows.map { windows.firstIndex(of: $0) ?? 0 }
        plans = windows.map { AttentionPlan(configuration: c, window: $0) }
        logitPlan = AttentionPlan(configuration: c, window: c.windows.last ?? nil)
        parts = try ScratchRows(columns: Self.partColumns)
        hidden = try ScratchRows(columns: c.hiddenSize)
        qkv = try ScratchRows(columns: c.queryWidth + 2 * c.kvWidth)
        attention = try ScratchRows(columns: c.queryWidth)
        delta = try ScratchRows(columns: c.hiddenSize)
        gateUp = try ScratchRows(columns: model.weights.layers[0].gateUp.outputs)
        logits = try ScratchRows(columns: c.vocabularySize)
        rope = try ScratchRows(columns: c.headDim)
        func activations(_ columns: Int) throws(KernelError) -> Activations {
            try Activations(columns: columns, format: model.weightFormat, group: model.scaleGroup, kernels: model.kernels)
        }
        normed = try activations(c.hiddenSize)
        attended = try activations(c.queryWidth)
        activated = try activations(c.intermediateSize)
        threadMemory = try Memory(byteCount: maxThreads * PagedAttention.scratchByteCount)
        let floats = PagedAttention.scratchByteCount / 4
        perThread = Rows(base: threadMemory.base.assumingMemoryBound(to: Float.self), count: maxThreads, columns: floats,
                         stride: floats)
        rowMemory = try Memory(byteCount: maxThreads * c.hiddenSize * 4)
        rowPerThread = Rows(base: rowMemory.base.assumingMemoryBound(to: Float.self), count: maxThreads, columns: c.hiddenSize,
                            stride: c.hiddenSize)
        let gated = PackedMatrix.gatedScratchColumns
        gatedMemory = try Memory(byteCount: maxThreads * gated * 4)
        gatedPerThread = Rows(base: gatedMemory.base.assumingMemoryBound(to: Float.self), count: maxThreads, columns: gated,
                              stride: gated)
    }

    static let partColumns = 64

    /// The plan of a layer, and memory for its parts.
    func attentionPlan(layer: Int, onlyLogitRows: Bool) throws(KernelError) -> (AttentionPlan, parts: Rows) {
        let plan = onlyLogitRows ? logitPlan : plans[planOfLayer[layer]]
        return (plan, try parts.rows(plan.partRows))
    }

    func prepare(_ batch: TokenBatch, kv: KVCache) throws(KernelError) {
        for activations in [normed, attended, activated] { try activations.reserve(batch.rowCount) }
        rowTables.update(batch)
        prefixes.update(batch, blockSize: kv.blockSize)
        readAhead.update(batch, prefixes: prefixes, kv: kv)
    }

    /// Cuts the attention of `batch` for `threads` threads. Fewer may run it, only less evenly.
    func planAttention(of batch: TokenBatch, sharing: SharedAttention, threads: Int) {
        var work = AttentionPlan.Work(
            batch: batch, prefixes: prefixes, tables: rowTables, sharing: sharing, onlyLogitRows: false)
        for index in plans.indices { plans[index].update(work, threads: threads) }
        work.onlyLogitRows = true
        logitPlan.update(work, threads: threads)
    }
}
