import Kernels

/// Memory of the forward pass, reused from step to step; it grows with the largest batch seen.
final class ForwardScratch {
    let hidden: ScratchRows        // [rows, hidden]: the residual stream
    let qkv: ScratchRows           // [rows, query width + 2 KV width]
    let attention: ScratchRows     // [rows, query width]
    let delta: ScratchRows         // [rows, hidden]: what a half layer adds to the stream
    let gateUp: ScratchRows        // [rows, 2 intermediate]
    let logits: ScratchRows        // [logit rows, vocabulary]
    let rope: ScratchRows          // [rows, head dim]: cosines, then sines
    let normed: Activations        // [rows, hidden]
    let attended: Activations      // [rows, query width]
    let activated: Activations     // [rows, intermediate]
    let perThread: Rows            // [threads, attention scratch]
    let rowPerThread: Rows         // [threads, widest row]
    private let threadMemory: Memory
    private let rowMemory: Memory
    /// Block tables of the batch, one after the other, and where each begins.
    private(set) var tables: [Int32] = []
    private(set) var tableStarts: [Int] = []
    /// How attention is cut into tasks: over all rows, and over the rows whose logits are wanted.
    private(set) var tiles: [AttentionTile] = []
    private(set) var logitTiles: [AttentionTile] = []
    private let rowsPerTile: Int

    init(model: Model, maxThreads: Int) throws(KernelError) {
        let c = model.configuration
        rowsPerTile = max(1, PagedAttention.queriesPerTile / c.groupSize)
        hidden = try ScratchRows(columns: c.hiddenSize)
        qkv = try ScratchRows(columns: c.queryWidth + 2 * c.kvWidth)
        attention = try ScratchRows(columns: c.queryWidth)
        delta = try ScratchRows(columns: c.hiddenSize)
        gateUp = try ScratchRows(columns: 2 * c.intermediateSize)
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
        let widest = max(c.hiddenSize, c.intermediateSize)
        rowMemory = try Memory(byteCount: maxThreads * widest * 4)
        rowPerThread = Rows(base: rowMemory.base.assumingMemoryBound(to: Float.self), count: maxThreads, columns: widest,
                            stride: widest)
    }

    func prepare(_ batch: TokenBatch) throws(KernelError) {
        for activations in [normed, attended, activated] { try activations.reserve(batch.rowCount) }
        tables.removeAll(keepingCapacity: true)
        tableStarts.removeAll(keepingCapacity: true)
        for table in batch.blockTables {
            tableStarts.append(tables.count)
            tables.append(contentsOf: table)
        }
        AttentionTile.cut(batch, atMost: rowsPerTile, onlyLogitRows: false, into: &tiles)
        AttentionTile.cut(batch, atMost: rowsPerTile, onlyLogitRows: true, into: &logitTiles)
    }
}
