import CKernels

/// Geometry of one (layer, block) of the KV cache: a contiguous byte range, K part
/// `[kvHeads][blockSize / 16][headDim][16]`, then V part `[kvHeads][blockSize][headDim]`; for int8 the float32 scales of
/// K and of V follow, each `[kvHeads][blockSize]`. Bfloat16 may be *paired*, for kernels that multiply pairs: K
/// `[kvHeads][blockSize / 16][headDim / 2][16][2]`, then V `[kvHeads][blockSize / 2][headDim][2]`.
public struct KVBlockLayout: Sendable, Hashable {
    public let kvHeads: Int
    public let headDim: Int
    public let blockSize: Int
    public let format: NumberFormat
    /// Whether K and V lie, and are multiplied, in pairs: an arithmetic of its own. See ``KernelSet/multipliesPairs``.
    public let isPaired: Bool

    /// Block sizes that a partition of 256 tokens is a multiple of, and that hold whole groups of 16 keys.
    public static let blockSizes = [16, 32, 64, 128, 256]
    public static let largestHeadDim = Int(BK_MAX_HEAD_DIM)

    public init(kvHeads: Int, headDim: Int, blockSize: Int, format: NumberFormat, isPaired: Bool = false) {
        precondition(kvHeads >= 1, "\(kvHeads) KV heads")
        precondition(headDim >= 2 && headDim % 2 == 0 && headDim <= Self.largestHeadDim, "head dimension \(headDim)")
        precondition(Self.blockSizes.contains(blockSize), "block size \(blockSize)")
        precondition(!isPaired || (format == .bfloat16 && Self.canPair(headDim: headDim)), "pairs of \(format), \(headDim)")
        self.kvHeads = kvHeads
        self.headDim = headDim
        self.blockSize = blockSize
        self.format = format
        self.isPaired = isPaired
    }

    /// Pairs come in whole vectors of 16.
    public static func canPair(headDim: Int) -> Bool { headDim % 16 == 0 }

    var cType: bk_type { isPaired ? BK_BFLOAT16_PAIRS : format.cType }

    /// Bytes of the scale that a token's K has, and its V has, in each KV head.
    public var scaleByteCount: Int { format == .int8 ? 4 : 0 }
    public var byteCount: Int { 2 * kvHeads * blockSize * (headDim * format.byteCount + scaleByteCount) }

    /// Stores one token's `k` and `v`, each `[kvHeads, headDim]`, into `slot` of `block`, rounded to the format.
    public func store(
        k: UnsafePointer<Float>, v: UnsafePointer<Float>, slot: Int, of block: UnsafeMutableRawPointer, kernels: KernelSet
    ) {
        precondition(slot >= 0 && slot < blockSize, "slot \(slot) of \(blockSize)")
        precondition(!isPaired || kernels.multipliesPairs, "\(kernels) know no pairs")
        kernels.table.store_kv(k, v, block, cType, kvHeads, headDim, blockSize, slot)
    }
}

/// Attention over paged KV in partitions of 256 positions (`baton_kernels.h` states the arithmetic).
public enum PagedAttention {
    public static let partition = Int(BK_PARTITION)
    /// Queries (rows x heads of a group) that share each load of K and V best.
    public static let queriesPerTile = Int(BK_ATTENTION_QUERIES)
    /// Bytes of scratch of one call, 64-byte aligned.
    public static let scratchByteCount = 4 * bk_attention_scratch()
    /// Floats of one partition's results, as ``run(_:partitions:into:layout:kernels:scratch:)`` leaves them.
    public static func partCount(queries: Int, headDim: Int) -> Int { bk_attention_part(queries, headDim) }

    /// A token row of a task.
    public struct Row: Sendable {
        let stored: bk_attention_row

        /// Where a row finds K and V that the row before it reads too.
        public enum Shared: Sendable, Hashable {
            /// So many leading partitions lie in the same blocks, and both see them to their end.
            case partitions(Int)
            /// The row before it is an earlier one of the same sequence.
            case sequence
        }

        /// - Parameters:
        ///   - query: its row in ``Task/q``.
        ///   - out: its row in ``Task/out``.
        ///   - table: where the block table of its sequence begins in ``Task/tables``.
        ///   - position: the last that it sees.
        ///   - shared: with the row before it in the task.
        public init(query: Int, out: Int, table: Int, position: Int32, shared: Shared) {
            let partitions = switch shared {
            case .partitions(let count): UInt32(count)
            case .sequence: UInt32.max // BK_SAME_SEQUENCE
            }
            stored = bk_attention_row(
                query: UInt32(query), out: UInt32(out), table: UInt32(table), position: position, shared: partitions)
        }

        public var query: Int { Int(stored.query) }
        public var position: Int32 { stored.position }
    }

    /// Attention of some rows over one KV head. Neighbours that share leading blocks read them once.
    public struct Task {
        /// Row 0 of `q` and `out`, `[…, heads, headDim]`, and the distances of rows in elements.
        public var q: UnsafePointer<Float>
        public var out: UnsafeMutablePointer<Float>
        public var queryStride: Int
        public var outStride: Int
        /// Block 0 of the layer, and the distance of blocks in bytes.
        public var pool: UnsafeRawPointer
        public var blockStride: Int
        /// Block ids of the sequences; position p of a row lies in `tables[row.table + p / blockSize]`.
        public var tables: UnsafePointer<Int32>
        public var rows: UnsafeBufferPointer<Row>
        public var kvHead: Int
        /// Query heads per KV head.
        public var group: Int
        /// Sliding window in tokens, or `nil`.
        public var window: Int32?
        public var scale: Float

        public init(
            q: UnsafePointer<Float>, out: UnsafeMutablePointer<Float>, queryStride: Int, outStride: Int,
            pool: UnsafeRawPointer, blockStride: Int, tables: UnsafePointer<Int32>, rows: UnsafeBufferPointer<Row>,
            kvHead: Int, group: Int, window: Int32?, scale: Float
        ) {
            self.q = q
            self.out = out
            self.queryStride = queryStride
            self.outStride = outStride
            self.pool = pool
            self.blockStride = blockStride
            self.tables = tables
            self.rows = rows
            self.kvHead = kvHead
            self.group = group
            self.window = window
            self.scale = scale
        }
    }

    /// - Parameters:
    ///   - next: what this thread is likely to compute afterwards, over KV of the same layout; the first of its keys are
    ///     fetched meanwhile.
    ///   - scratch: ``scratchByteCount`` bytes of the calling thread's own.
    public static func run(
        _ task: Task, next: Task? = nil, layout: KVBlockLayout, kernels: KernelSet, scratch: UnsafeMutableRawPointer
    ) {
        var attention = describe(task, layout, kernels)
        let floats = scratch.assumingMemoryBound(to: Float.self)
        guard let next else { return kernels.table.attention(&attention, nil, floats) }
        var following = describe(next, layout, kernels)
        kernels.table.attention(&attention, &following, floats)
    }

    /// The first of two steps that give the bits of ``run(_:layout:kernels:scratch:)``: `partitions` alone, their results
    /// left in `parts`, ``partCount(queries:headDim:)`` floats each, 64-byte aligned. At most ``queriesPerTile`` queries.
    public static func run(
        _ task: Task, partitions: Range<Int>, into parts: UnsafeMutablePointer<Float>, layout: KVBlockLayout,
        kernels: KernelSet, scratch: UnsafeMutableRawPointer
    ) {
        precondition(task.rows.count * task.group <= queriesPerTile, "\(task.rows.count) rows of \(task.group) heads in parts")
        precondition(partitions.lowerBound >= 0 && !partitions.isEmpty, "partitions \(partitions)")
        var attention = describe(task, layout, kernels)
        kernels.table.attention_parts(
            &attention, partitions.lowerBound, partitions.upperBound, parts, scratch.assumingMemoryBound(to: Float.self))
    }

    /// The second step: folds the parts of all partitions that the task sees, from the first of them on.
    public static func fold(
        _ task: Task, parts: UnsafePointer<Float>, layout: KVBlockLayout, kernels: KernelSet,
        scratch: UnsafeMutableRawPointer
    ) {
        precondition(task.rows.count * task.group <= queriesPerTile, "\(task.rows.count) rows of \(task.group) heads in parts")
        var attention = describe(task, layout, kernels)
        kernels.table.attention_fold(&attention, parts, scratch.assumingMemoryBound(to: Float.self))
    }

    private static func describe(_ task: Task, _ layout: KVBlockLayout, _ kernels: KernelSet) -> bk_attention {
        precondition(!layout.isPaired || kernels.multipliesPairs, "\(kernels) know no pairs")
        precondition(task.kvHead >= 0 && task.kvHead < layout.kvHeads, "KV head \(task.kvHead) of \(layout.kvHeads)")
        precondition(task.group >= 1 && task.rows.count >= 1, "\(task.rows.count) rows of \(task.group) heads")
        precondition(task.window.map { $0 >= 1 } ?? true, "window \(task.window ?? 0)")
        return bk_attention(
            q: task.q, out: task.out, ldq: task.queryStride, ldo: task.outStride,
            pool: task.pool.assumingMemoryBound(to: UInt8.self), block_stride: task.blockStride, tables: task.tables,
            // A row is nothing but what it stores.
            rows: UnsafeRawPointer(task.rows.baseAddress)?.assumingMemoryBound(to: bk_attention_row.self),
            row_count: task.rows.count, block_size: layout.blockSize, kv_heads: layout.kvHeads, kv_head: task.kvHead,
            group: task.group, head_dim: layout.headDim, window: task.window ?? 0, scale: task.scale,
            kv_type: layout.cType)
    }
}
