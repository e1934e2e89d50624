import CKernels

/// A weight matrix `[outputs, inputs]` in panels of 64 outputs, the layout that the matrix kernels stream:
/// float32 `[panels][inputs][64]`, bfloat16 `[panels][inputs/2][64][2]`, or int8 with a scale per output and group of
/// inputs (`baton_kernels.h` states layout and rounding), padded with zeros.
///
/// Unchecked: immutable once packed.
public final class PackedMatrix: @unchecked Sendable {
    public let outputs: Int
    public let inputs: Int
    public let format: NumberFormat
    /// Of int8.
    public let group: ScaleGroup
    private let memory: Memory
    /// Set when OpenBLAS serves this shape (see ``OpenBLASPath``); then it serves every product.
    private let openBLAS: OpenBLASPath?

    /// A run of consecutive weight rows in checkpoint memory: `[rows][inputs]`, row-major.
    public struct Source: @unchecked Sendable { // Unchecked: a view of a read-only map, used during `init` only.
        public let base: UnsafeRawPointer
        public let rows: Int
        public let type: StoredType

        public init(base: UnsafeRawPointer, rows: Int, type: StoredType) {
            self.base = base
            self.rows = rows
            self.type = type
        }
    }

    /// A run of consecutive weight rows that are quantized already, as GGUF's Q8_0: `[rows][inputs/32]` of a float16 scale
    /// and 32 signed bytes.
    public struct QuantizedSource: @unchecked Sendable { // Unchecked: as `Source`.
        public let base: UnsafeRawPointer
        public let rows: Int

        public init(base: UnsafeRawPointer, rows: Int) {
            self.base = base
            self.rows = rows
        }
    }

    static func paddedOutputs(_ outputs: Int) -> Int { bk_panels(outputs) * Int(BK_PANEL) }

    public var byteCount: Int { memory.byteCount }

    /// Packs `sources`, one below the other, on `threads` threads. A source that is wider than `format` is rounded;
    /// for int8, in groups of `group` inputs.
    public convenience init(
        _ sources: [Source], inputs: Int, format: NumberFormat, group: ScaleGroup = .of64, team: ThreadTeam, threads: Int,
        float32Path: Float32Path = .packed
    ) throws(KernelError) {
        precondition(Set(sources.map(\.type)).count == 1, "sources of one matrix differ in type")
        let type = sources[0].type.cType, runs = sources.map { Run(base: $0.base, rows: $0.rows) }
        let outputs = sources.reduce(0) { $0 + $1.rows }
        let openBLAS = format == .float32 && float32Path == .openBLAS
            ? try OpenBLASPath(sources, outputs: outputs, inputs: inputs) : nil
        try self.init(
            runs, rowBytes: inputs * sources[0].type.byteCount, inputs: inputs, format: format, group: group,
            openBLAS: openBLAS, team: team, threads: threads
        ) { rows, target in
            switch format {
            case .float32: bk_pack_f32(rows, type, inputs, target.assumingMemoryBound(to: Float.self))
            case .bfloat16: bk_pack_bf16(rows, type, inputs, target.assumingMemoryBound(to: UInt16.self))
            case .int8: bk_pack_int8(rows, type, inputs, group.rawValue, target.assumingMemoryBound(to: UInt8.self))
            }
        }
    }

    /// Packs `sources`, one below the other, on `threads` threads, as int8 in groups of 32. Bytes and scales stay as they
    /// are. `inputs`: a multiple of 32.
    public convenience init(
        quantized sources: [QuantizedSource], inputs: Int, team: ThreadTeam, threads: Int
    ) throws(KernelError) {
        precondition(inputs % 32 == 0, "\(inputs) inputs in groups of 32")
        try self.init(
            sources.map { Run(base: $0.base, rows: $0.rows) }, rowBytes: inputs / 32 * 34, inputs: inputs, format: .int8,
            group: .of32, openBLAS: nil, team: team, threads: threads
        ) { rows, target in bk_pack_q8_0(rows, inputs, target.assumingMemoryBound(to: UInt8.self)) }
    }

    private struct Run: @unchecked Sendable { // Unchecked: as `Source`.
        let base: UnsafeRawPointer
        let rows: Int
    }

    private init(
        _ runs: [Run], rowBytes: Int, inputs: Int, format: NumberFormat, group: ScaleGroup, openBLAS: OpenBLASPath?,
        team: ThreadTeam, threads: Int,
        pack: @Sendable (_ rows: UnsafePointer<UnsafeRawPointer?>, _ panel: UnsafeMutableRawPointer) -> Void
    ) throws(KernelError) {
        let outputs = runs.reduce(0) { $0 + $1.rows }
        precondition(outputs >= 1 && inputs >= 1, "matrix [\(outputs), \(inputs)]")
        self.outputs = outputs
        self.inputs = inputs
        self.format = format
        self.group = group
        self.openBLAS = openBLAS
        let panelBytes = switch format {
        case .float32: Int(BK_PANEL) * inputs * 4
        case .bfloat16: Int(BK_PANEL) * bk_padded_k(inputs) * 2
        case .int8: bk_int8_panel_bytes(inputs, group.rawValue)
        }
        let memory = try Memory(byteCount: bk_panels(outputs) * panelBytes)
        self.memory = memory
        team.forEachRange(of: bk_panels(outputs), chunk: 1, threads: threads) { panels, _ in
            for panel in panels {
                let rows = Self.rows(ofPanel: panel, in: runs, rowBytes: rowBytes)
                pack(rows, memory.base + panel * panelBytes)
            }
        }
    }

    /// Where each row of a panel begins; nil for a row of padding.
    private static func rows(ofPanel panel: Int, in runs: [Run], rowBytes: Int) -> [UnsafeRawPointer?] {
        var rows = [UnsafeRawPointer?](repeating: nil, count: Int(BK_PANEL))
        var first = 0
        for run in runs {
            for column in rows.indices {
                let row = panel * Int(BK_PANEL) + column - first
                if row >= 0, row < run.rows { rows[column] = run.base + row * rowBytes }
            }
            first += run.rows
        }
        return rows
    }

    /// Weight row `row` (0 ..< outputs) as float32, `[inputs]`.
    public func copyRow(_ row: Int, to out: UnsafeMutablePointer<Float>) {
        precondition(row >= 0 && row < outputs, "row \(row) of \(outputs)")
        switch format {
        case .float32: bk_unpack_row_f32(memory.floats(), inputs, row, out)
        case .bfloat16: bk_unpack_row_bf16(memory.base.assumingMemoryBound(to: UInt16.self), inputs, row, out)
        case .int8: bk_unpack_row_int8(memory.base.assumingMemoryBound(to: UInt8.self), inputs, group.rawValue, row, out)
        }
    }

    /// `y[m][n] = sum over k of x[m][k] * w[n][k]`, in the sum order of the kernel family, for every row of `x`.
    /// `y`: `[x.count, outputs]` with rows padded to whole panels (a ``ScratchRows`` is).
    public func multiply(_ x: Activations.View, into y: Rows, team: ThreadTeam, threads: Int) {
        precondition(x.columns == inputs && x.format == format, "x [\(x.count), \(x.columns)] times [\(outputs), \(inputs)]")
        precondition(format != .int8 || x.group == group, "x in groups of \(x.group.rawValue), weights of \(group.rawValue)")
        precondition(y.count == x.count && y.columns == outputs, "y [\(y.count), \(y.columns)], x [\(x.count), \(x.columns)]")
        precondition(y.stride >= Self.paddedOutputs(outputs), "stride \(y.stride) of \(outputs) outputs")
        if x.count == 0 { return }
        if let openBLAS {
            return openBLAS.multiply(x.base.assumingMemoryBound(to: Float.self), into: y, team: team, threads: threads)
        }
        let panels = bk_panels(outputs), chunk = max(1, panels / (threads * 8))
        let memory = memory, inputs = inputs, format = format, group = group.rawValue
        team.forEachRange(of: panels, chunk: chunk, threads: threads) { range, _ in
            switch format {
            case .float32:
                x.kernels.table.gemm_f32(x.base.assumingMemoryBound(to: Float.self), inputs, memory.floats(), y.base, y.stride,
                                         x.count, inputs, range.lowerBound, range.upperBound)
            case .bfloat16:
                x.kernels.table.gemm_bf16(x.base, memory.base.assumingMemoryBound(to: UInt16.self), y.base, y.stride,
                                          x.count, inputs, range.lowerBound, range.upperBound)
            case .int8:
                x.kernels.table.gemm_int8(x.base, memory.base.assumingMemoryBound(to: UInt8.self), y.base, y.stride,
                                          x.count, inputs, group, range.lowerBound, range.upperBound)
            }
        }
    }

    /// Whether OpenBLAS serves this matrix.
    public var usesOpenBLAS: Bool { openBLAS != nil }
}
