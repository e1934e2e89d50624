import CKernels

/// A weight matrix `[outputs, inputs]` in panels of 64 outputs, the layout that the matrix kernels stream:
/// float32 `[panels][inputs][64]`, bfloat16 `[panels][inputs/2][64][2]`, or int8 with a scale per output and group of
/// inputs (`baton_kernels.h` states layout and rounding), padded with zeros.
///
/// Unchecked: immutable once packed.
public final class PackedMatrix: @unchecked Sendable {
    /// What decides how many bytes a packed matrix has and what each of them means.
    public struct Shape: Sendable, Hashable {
        /// How the rows of sources become outputs.
        public enum Arrangement: Sendable, Hashable {
            /// One below the other.
            case stacked
            /// Panels of two sources of one height alternate, each source padded to whole panels, so that a product leaves
            /// a gate beside what it gates.
            case paired
        }

        public private(set) var arrangement = Arrangement.stacked
        public var outputs: Int
        public var inputs: Int
        public var format: NumberFormat
        /// Of int8.
        public var group: ScaleGroup

        public init(outputs: Int, inputs: Int, format: NumberFormat, group: ScaleGroup = .of64) {
            precondition(outputs >= 1 && inputs >= 1, "matrix [\(outputs), \(inputs)]")
            self.outputs = outputs
            self.inputs = inputs
            self.format = format
            self.group = group
        }

        /// Of a ``Arrangement/paired`` matrix whose sources have `rows` rows each.
        public init(pairsOf rows: Int, inputs: Int, format: NumberFormat, group: ScaleGroup = .of64) {
            self.init(outputs: 2 * paddedOutputs(rows), inputs: inputs, format: format, group: group)
            arrangement = .paired
        }

        public var byteCount: Int { bk_panels(outputs) * panelByteCount }

        /// Where each row of a panel begins; nil for a row of padding.
        func rows(ofPanel panel: Int, in sources: [Source]) -> [UnsafeRawPointer?] {
            let isPaired = arrangement == .paired, chosen = isPaired ? [sources[panel % 2]] : sources
            var rows = [UnsafeRawPointer?](repeating: nil, count: Int(BK_PANEL)), first = 0
            for source in chosen {
                for column in rows.indices {
                    let row = (isPaired ? panel / 2 : panel) * Int(BK_PANEL) + column - first
                    if row >= 0, row < source.rows { rows[column] = source.address(ofRow: row, inputs: inputs) }
                }
                first += source.rows
            }
            return rows
        }

        fileprivate func fits(_ sources: [Source]) -> Bool {
            switch arrangement {
            case .stacked: sources.reduce(0) { $0 + $1.rows } == outputs
            case .paired: sources.count == 2 && sources.allSatisfy { 2 * paddedOutputs($0.rows) == outputs }
            }
        }

        fileprivate var panelByteCount: Int {
            switch format {
            case .float32: Int(BK_PANEL) * inputs * 4
            case .bfloat16: Int(BK_PANEL) * bk_padded_k(inputs) * 2
            case .int8: bk_int8_panel_bytes(inputs, group.rawValue)
            }
        }
    }

    public let shape: Shape
    public var outputs: Int { shape.outputs }
    public var inputs: Int { shape.inputs }
    public var format: NumberFormat { shape.format }
    public var group: ScaleGroup { shape.group }
    private let memory: Memory // Holds `base`.
    let base: UnsafeMutableRawPointer
    /// Set when OpenBLAS serves this shape (see ``OpenBLASPath``); then it serves every product.
    private let openBLAS: OpenBLASPath?

    /// A run of consecutive weight rows in checkpoint memory, row-major.
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

    public var byteCount: Int { shape.byteCount }

    /// A matrix that lies packed in `memory` from `offset` (a multiple of 64) on.
    public init(_ shape: Shape, in memory: Memory, at offset: Int, openBLAS: OpenBLASPath? = nil) {
        precondition(offset >= 0 && offset % 64 == 0 && offset + shape.byteCount <= memory.byteCount, "\(shape) at \(offset)")
        self.shape = shape
        self.memory = memory
        self.openBLAS = openBLAS
        base = memory.base + offset
    }

    /// Packs `sources` into memory of its own.
    public convenience init(
        _ sources: [Source], inputs: Int, format: NumberFormat, group: ScaleGroup = .of64, team: ThreadTeam, threads: Int,
        float32Path: Float32Path = .packed
    ) throws(KernelError) {
        let shape = Shape(outputs: sources.reduce(0) { $0 + $1.rows }, inputs: inputs, format: format, group: group)
        let memory = try Memory(byteCount: shape.byteCount)
        Self.pack(sources, as: shape, into: memory, at: 0, team: team, threads: threads)
        let openBLAS = format == .float32 && float32Path == .openBLAS ? try OpenBLASPath(sources, as: shape) : nil
        self.init(shape, in: memory, at: 0, openBLAS: openBLAS)
    }

    /// Packs `sources`, one below the other and of one type, on `threads` threads into `memory` from `offset` on. A
    /// source that is wider than the format is rounded. Q8_0 blocks become int8 in groups of 32 as they are, bytes and scales.
    public static func pack(
        _ sources: [Source], as shape: Shape, into memory: Memory, at offset: Int, team: ThreadTeam, threads: Int
    ) {
        precondition(offset >= 0 && offset + shape.byteCount <= memory.byteCount, "\(shape) at \(offset)")
        precondition(shape.fits(sources), "\(sources.map(\.rows)) rows as \(shape)")
        precondition(Set(sources.map(\.type)).count == 1, "sources of one matrix differ in type")
        team.forEachRange(of: bk_panels(shape.outputs), chunk: 1, threads: threads) { panels, _ in
            for panel in panels {
                let rows = shape.rows(ofPanel: panel, in: sources)
                pack(rows, sources[0].type, as: shape, into: memory.base + offset + panel * shape.panelByteCount)
            }
        }
    }

    private static func pack(
        _ rows: [UnsafeRawPointer?], _ type: StoredType, as shape: Shape, into target: UnsafeMutableRawPointer
    ) {
        let inputs = shape.inputs, bytes = target.assumingMemoryBound(to: UInt8.self)
        switch shape.format {
        case .float32: bk_pack_f32(rows, type.cType, inputs, target.assumingMemoryBound(to: Float.self))
        case .bfloat16: bk_pack_bf16(rows, type.cType, inputs, target.assumingMemoryBound(to: UInt16.self))
        case .int8 where type == .q8_0 && shape.group == .of32: bk_pack_q8_0(rows, inputs, bytes)
        case .int8: bk_pack_int8(rows, type.cType, inputs, shape.group.rawValue, bytes)
        }
    }

    /// Weight row `row` (0 ..< outputs) as float32, `[inputs]`.
    public func copyRow(_ row: Int, to out: UnsafeMutablePointer<Float>) {
        precondition(row >= 0 && row < outputs, "row \(row) of \(outputs)")
        switch format {
        case .float32: bk_unpack_row_f32(base.assumingMemoryBound(to: Float.self), inputs, row, out)
        case .bfloat16: bk_unpack_row_bf16(base.assumingMemoryBound(to: UInt16.self), inputs, row, out)
        case .int8: bk_unpack_row_int8(base.assumingMemoryBound(to: UInt8.self), inputs, group.rawValue, row, out)
        }
    }

    /// `y[m][n] = sum over k of x[m][k] * w[n][k]`, in the sum order of the kernel family, for every row of `x`.
    /// `y`: `[x.count, outputs]` with rows padded to whole panels (a ``ScratchRows`` is).
    /// - Parameter later: what is read after the product, fetched where that costs nothing.
    public func multiply(_ x: Activations.View, into y: Rows, later: ReadAhead? = nil, team: ThreadTeam, threads: Int) {
        precondition(x.columns == inputs && x.format == format, "x [\(x.count), \(x.columns)] times [\(outputs), \(inputs)]")
        precondition(format != .int8 || x.group == group, "x in groups of \(x.group.rawValue), weights of \(group.rawValue)")
        precondition(y.count == x.count && y.columns == outputs, "y [\(y.count), \(y.columns)], x [\(x.count), \(x.columns)]")
        precondition(y.stride >= Self.paddedOutputs(outputs), "stride \(y.stride) of \(outputs) outputs")
        if x.count == 0 { return }
        if let openBLAS {
            return openBLAS.multiply(x.base.assumingMemoryBound(to: Float.self), into: y, team: team, threads: threads)
        }
        let cut = ProductCut(
            rows: x.count, units: bk_panels(outputs), threads: threads, tileHeight: x.kernels.tileHeight(for: format))
        team.forEachRange(of: cut.count, chunk: 1, threads: threads, isLong: cut.isLong) { items, _ in
            for index in items {
                let item = cut[index], to = y.base + item.rows.lowerBound * y.stride + item.unit * Int(BK_PANEL)
                let share = later?.share(index, of: cut.count)
                self.multiply(x, rows: item.rows, into: to, stride: y.stride, panels: item.unit..<item.unit + 1, later: share)
            }
        }
    }

    /// Products of some rows with some panels, at `y`: `[rows, 64 * panels]`.
    private func multiply(
        _ x: Activations.View, rows: Range<Int>, into y: UnsafeMutablePointer<Float>, stride: Int, panels: Range<Int>,
        later: ReadAhead?
    ) {
        let table = x.kernels.table, from = x.base + rows.lowerBound * x.rowBytes
        let w = base + panels.lowerBound * shape.panelByteCount
        switch format {
        case .float32:
            table.gemm_f32(from.assumingMemoryBound(to: Float.self), inputs, w.assumingMemoryBound(to: Float.self), y, stride,
                           rows.count, inputs, 0, panels.count)
        case .bfloat16:
            let w = w.assumingMemoryBound(to: UInt16.self)
            guard let later else { return table.gemm_bf16(from, w, y, stride, rows.count, inputs, 0, panels.count, nil) }
            later.withDescription { table.gemm_bf16(from, w, y, stride, rows.count, inputs, 0, panels.count, $0) }
        case .int8:
            table.gemm_int8(from, w.assumingMemoryBound(to: UInt8.self), y, stride, rows.count, inputs, group.rawValue, 0,
                            panels.count)
        }
    }

    /// `out[m] = silu(gate x[m]) * (up x[m])`, rounded to the format of `out`, for a matrix of paired sources, gate and up.
    /// Products stay in the cache until they are used.
    /// - Parameters:
    ///   - out: `[x.count, rows of a source]`
    ///   - scratch: ``gatedScratchColumns`` columns for each thread of the team.
    ///   - whole: `[x.count, outputs]`, needed if ``usesOpenBLAS``.
    ///   - later: what is read after the product, fetched where that costs nothing.
    public func multiplyGated(
        _ x: Activations.View, into out: Activations.View, scratch: Rows, whole: Rows?, later: ReadAhead? = nil, team: ThreadTeam,
        threads: Int
    ) {
        precondition(shape.arrangement == .paired && 2 * Self.paddedOutputs(out.columns) == outputs, "\(shape), \(out.columns) columns")
        precondition(x.columns == inputs && x.format == format && out.count == x.count, "x [\(x.count), \(x.columns)], \(shape)")
        if x.count == 0 { return }
        let pairs = bk_panels(outputs) / 2, panel = Int(BK_PANEL)
        if usesOpenBLAS, let whole { multiply(x, into: whole, team: team, threads: threads) }
        let cut = ProductCut(rows: x.count, units: pairs, threads: threads, tileHeight: x.kernels.tileHeight(for: format))
        team.forEachRange(of: cut.count, chunk: 1, threads: threads, isLong: cut.isLong) { items, thread in
            let y = scratch.base + thread * scratch.stride
            for index in items {
                let item = cut[index], rows = item.rows
                if usesOpenBLAS, let whole {
                    let from = whole.base + rows.lowerBound * whole.stride + 2 * item.unit * panel
                    out.setGated(rows, panel: item.unit, from: from, stride: whole.stride)
                } else {
                    multiply(x, rows: rows, into: y, stride: 2 * panel, panels: 2 * item.unit..<2 * item.unit + 2,
                             later: later?.share(index, of: cut.count))
                    out.setGated(rows, panel: item.unit, from: y, stride: 2 * panel)
                }
            }
        }
    }

    /// Floats that a thread of ``multiplyGated(_:into:scratch:whole:team:threads:)`` needs.
    public static let gatedScratchColumns = ProductCut.mostRows * 2 * Int(BK_PANEL)

    /// Whether OpenBLAS serves this matrix.
    public var usesOpenBLAS: Bool { openBLAS != nil }
}
