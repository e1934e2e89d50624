import Kernels

/// The attention of one layer by itself, as a step runs it: for measurements.
///
/// Belongs to the thread that uses it, like ``Engine``.
public final class LayerAttention {
    private let team: ThreadTeam
    private let kernels: KernelSet
    private let kv: KVCache
    private let headCount: Int
    private let q: ScratchRows        // [rows, heads * head dim]
    private let out: ScratchRows      // the same
    private let parts: ScratchRows
    private let perThread: Rows       // [threads, attention scratch]
    private let threadMemory: Memory
    private var plan: AttentionPlan
    private var tables = RowTables()
    private var prefixes = SharedPrefixes()
    private var rowCount = 0

    /// - Parameter kv: of one layer.
    /// - Throws: `KernelError` if memory is refused.
    public init(headCount: Int, kv: KVCache, kernels: KernelSet, team: ThreadTeam) throws(KernelError) {
        let layout = kv.layout
        precondition(headCount % layout.kvHeads == 0, "\(headCount) heads over \(layout.kvHeads) KV heads")
        self.team = team
        self.kernels = kernels
        self.kv = kv
        self.headCount = headCount
        plan = AttentionPlan(group: headCount / layout.kvHeads, headDim: layout.headDim, kvHeads: layout.kvHeads, window: nil)
        q = try ScratchRows(columns: headCount * layout.headDim)
        out = try ScratchRows(columns: headCount * layout.headDim)
        parts = try ScratchRows(columns: ForwardScratch.partColumns)
        threadMemory = try Memory(byteCount: team.maxThreads * PagedAttention.scratchByteCount)
        let floats = PagedAttention.scratchByteCount / 4
        perThread = Rows(base: threadMemory.base.assumingMemoryBound(to: Float.self), count: team.maxThreads, columns: floats,
                         stride: floats)
    }

    /// Queries of `rows` rows, `[rows, heads * head dim]`, to be filled in.
    /// - Throws: `KernelError` if memory is refused.
    public func queries(_ rows: Int) throws(KernelError) -> Rows { try q.rows(rows) }

    /// Fills (layer 0, `block`) with K and V, each `[kvHeads * headDim]`, of one token in each slot.
    public func fill(_ block: Int32, k: (_ slot: Int) -> [Float], v: (_ slot: Int) -> [Float]) {
        for slot in 0..<kv.blockSize {
            kv.layout.store(k: k(slot), v: v(slot), slot: slot, of: kv.address(layer: 0, block: block), kernels: kernels)
        }
    }

    /// Prepares for the rows of `batch`, as a step does once for all its layers.
    public func prepare(_ batch: TokenBatch, sharing: SharedAttention, threads: Int) {
        tables.update(batch)
        prefixes.update(batch, blockSize: kv.blockSize)
        plan.update(
            AttentionPlan.Work(batch: batch, prefixes: prefixes, tables: tables, sharing: sharing, onlyLogitRows: false),
            threads: threads)
        rowCount = batch.rowCount
    }

    /// Attention of the rows prepared for, `[rows, heads * head dim]`, valid until the next run.
    /// - Throws: `KernelError` if memory is refused.
    @discardableResult
    public func run() throws(KernelError) -> Rows {
        let result = try out.rows(rowCount)
        let pass = AttentionPass(
            plan: plan, q: try q.rows(rowCount), out: result, parts: try parts.rows(plan.partRows), perThread: perThread,
            tables: tables, kv: kv, layer: 0, kernels: kernels)
        pass.run(on: team)
        return result
    }
}
