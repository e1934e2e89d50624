import CKernels

/// A weight matrix `[outputs, inputs]` in panels of 64 outputs, the layout that the matrix kernels stream:
/// float32 `[panels][inputs][64]` or bfloat16 `[panels][inputs/2][64][2]`, padded with zeros.
///
/// Unchecked: immutable once packed.
public final class PackedMatrix: @unchecked Sendable {
    public let outputs: Int
    public let inputs: Int
    public let format: NumberFormat
    private let memory: Memory
    /// Set when OpenBLAS serves this shape (see ``OpenBLASPath``); then it serves every product.
    private let openBLAS: OpenBLASPath?

    /// A run of consecutive weight rows in checkpoint memory: `[rows][inputs]`, row-major.
    public struct Source: @unchecked Sendable { // Unchecked: a view of a read-only map, used during `init` only.
        public let base: UnsafeRawPointer
        public let rows: Int
        public let type: StoredType
        public let order: RowOrder

        public init(base: UnsafeRawPointer, rows: Int, type: StoredType, order: RowOrder = .natural) {
            self.base = base
            self.rows = rows
            self.type = type
            self.order = order
        }

        /// The stored bytes of weight row `row` (0 ..< rows), `[inputs]` of `type`.
        func address(ofRow row: Int, inputs: Int) -> UnsafeRawPointer {
            base + order.storedRow(row) * type.byteCount(elements: inputs)
        }
    }

    static func paddedOutputs(_ outputs: Int) -> Int { bk_panels(outputs) * Int(BK_PANEL) }

    public var byteCount: Int { memory.byteCount }

    /// Packs `sources`, one below the other, on `threads` threads. A source that is wider than `format` is rounded.
    public init(
        _ sources: [Source], inputs: Int, format: NumberFormat, team: ThreadTeam, threads: Int,
        float32Path: Float32Path = .packed
    ) throws(KernelError) {
        let outputs = sources.reduce(0) { $0 + $1.rows }
        precondition(outputs >= 1 && inputs >= 1, "matrix [\(outputs), \(inputs)]")
        precondition(Set(sources.map(\.type)).count == 1, "sources of one matrix differ in type")
        self.outputs = outputs
        self.inputs = inputs
        self.format = format
        let panelBytes = Self.panelBytes(inputs: inputs, format: format)
        let memory = try Memory(byteCount: bk_panels(outputs) * panelBytes)
        self.memory = memory
        openBLAS = format == .float32 && float32Path == .openBLAS
            ? try OpenBLASPath(sources, outputs: outputs, inputs: inputs) : nil
        team.forEachRange(of: bk_panels(outputs), chunk: 1, threads: threads) { panels, _ in
            for panel in panels {
                Self.pack(panel, of: sources, inputs: inputs, format: format, into: memory.base + panel * panelBytes)
            }
        }
    }

    private static func panelBytes(inputs: Int, format: NumberFormat) -> Int {
        Int(BK_PANEL) * (format == .float32 ? inputs * 4 : bk_padded_k(inputs) * 2)
    }

    private static func pack(
        _ panel: Int, of sources: [Source], inputs: Int, format: NumberFormat, into target: UnsafeMutableRawPointer
    ) {
        var rows = [UnsafeRawPointer?](repeating: nil, count: Int(BK_PANEL))
        var first = 0
        for source in sources {
            for column in rows.indices {
                let row = panel * Int(BK_PANEL) + column - first
                guard row >= 0, row < source.rows else { continue }
                rows[column] = source.address(ofRow: row, inputs: inputs)
            }
            first += source.rows
        }
        let type = sources[0].type.cType
        switch format {
        case .float32: bk_pack_f32(&rows, type, inputs, target.assumingMemoryBound(to: Float.self))
        case .bfloat16: bk_pack_bf16(&rows, type, inputs, target.assumingMemoryBound(to: UInt16.self))
        }
    }

    /// Weight row `row` (0 ..< outputs) as float32, `[inputs]`.
    public func copyRow(_ row: Int, to out: UnsafeMutablePointer<Float>) {
        precondition(row >= 0 && row < outputs, "row \(row) of \(outputs)")
        switch format {
        case .float32: bk_unpack_row_f32(memory.floats(), inputs, row, out)
        case .bfloat16: bk_unpack_row_bf16(memory.base.assumingMemoryBound(to: UInt16.self), inputs, row, out)
        }
    }

    /// `y[m][n] = sum over k of x[m][k] * w[n][k]`, in the sum order of the kernel family, for every row of `x`.
    /// `y`: `[x.count, outputs]` with rows padded to whole panels (a ``ScratchRows`` is).
    public func multiply(_ x: Activations.View, into y: Rows, team: ThreadTeam, threads: Int) {
        precondition(x.columns == inputs && x.format == format, "x [\(x.count), \(x.columns)] times [\(outputs), \(inputs)]")
        precondition(y.count == x.count && y.columns == outputs, "y [\(y.count), \(y.columns)], x [\(x.count), \(x.columns)]")
        precondition(y.stride >= Self.paddedOutputs(outputs), "stride \(y.stride) of \(outputs) outputs")
        if x.count == 0 { return }
        if let openBLAS {
            return openBLAS.multiply(x.base.assumingMemoryBound(to: Float.self), into: y, team: team, threads: threads)
        }
        let panels = bk_panels(outputs), chunk = max(1, panels / (threads * 8))
        let memory = memory, inputs = inputs, format = format
        team.forEachRange(of: panels, chunk: chunk, threads: threads) { range, _ in
            switch format {
            case .float32:
                x.kernels.table.gemm_f32(x.base.assumingMemoryBound(to: Float.self), inputs, memory.floats(), y.base, y.stride,
                                         x.count, inputs, range.lowerBound, range.upperBound)
            case .bfloat16:
                x.kernels.table.gemm_bf16(x.base, memory.base.assumingMemoryBound(to: UInt16.self), y.base, y.stride,
                                          x.count, inputs, range.lowerBound, range.upperBound)
            }
        }
    }

    /// Whether OpenBLAS serves this matrix.
    public var usesOpenBLAS: Bool { openBLAS != nil }
}
