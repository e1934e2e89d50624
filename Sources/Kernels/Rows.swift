import CKernels

/// Rows of float32 in memory that someone else owns: `[rows, columns]`, `stride` elements from one to the next.
///
/// Unchecked: a view for the length of one kernel call; whoever hands it to threads splits it by row or by column.
public struct Rows: @unchecked Sendable {
    public let base: UnsafeMutablePointer<Float>
    public let count: Int
    public let columns: Int
    public let stride: Int

    public init(base: UnsafeMutablePointer<Float>, count: Int, columns: Int, stride: Int) {
        precondition(count >= 0 && columns >= 1 && stride >= columns, "rows [\(count), \(columns)], stride \(stride)")
        self.base = base
        self.count = count
        self.columns = columns
        self.stride = stride
    }

    public subscript(row: Int) -> UnsafeMutableBufferPointer<Float> {
        precondition(row >= 0 && row < count, "row \(row) of \(count)")
        return UnsafeMutableBufferPointer(start: base + row * stride, count: columns)
    }
}

/// Float32 scratch `[rows, columns]` that grows when a step needs more rows and is reused by the next.
/// Rows are padded to whole weight panels, as matrix products want their outputs.
public final class ScratchRows {
    public let columns: Int
    private let stride: Int
    private var memory: Memory
    private var capacity: Int

    public init(columns: Int, capacity: Int = 1) throws(KernelError) {
        precondition(columns >= 1 && capacity >= 1, "scratch [\(capacity), \(columns)]")
        self.columns = columns
        self.stride = PackedMatrix.paddedOutputs(columns)
        self.capacity = capacity
        memory = try Memory(byteCount: capacity * stride * 4)
    }

    /// The first `count` rows; their contents are whatever the last step left there.
    public func rows(_ count: Int) throws(KernelError) -> Rows {
        if count > capacity {
            let grown = max(count, capacity * 2)
            memory = try Memory(byteCount: grown * stride * 4)
            capacity = grown
        }
        return Rows(base: memory.floats(), count: count, columns: columns, stride: stride)
    }
}

/// The input of a matrix product, in the form that the kernels of a weight format read: float32, rounded to bfloat16, or
/// quantized to int8 with a scale per row and group.
public final class Activations {
    public let columns: Int
    public let format: NumberFormat
    /// Of int8.
    public let group: ScaleGroup
    private let kernels: KernelSet
    private let rowBytes: Int
    private var memory: Memory
    private var capacity: Int

    public init(
        columns: Int, format: NumberFormat, group: ScaleGroup = .of64, kernels: KernelSet, capacity: Int = 1
    ) throws(KernelError) {
        precondition(columns >= 1 && capacity >= 1, "activations [\(capacity), \(columns)]")
        self.columns = columns
        self.format = format
        self.group = group
        self.kernels = kernels
        self.capacity = capacity
        rowBytes = switch format {
        case .float32: columns * 4
        case .bfloat16: bk_padded_k(columns) * (kernels.multipliesPairs ? 2 : 4)
        case .int8: bk_int8_row_bytes(columns, group.rawValue)
        }
        memory = try Memory(byteCount: capacity * rowBytes)
    }

    /// Room for `count` rows; earlier contents are lost when it has to grow.
    public func reserve(_ count: Int) throws(KernelError) {
        guard count > capacity else { return }
        let grown = max(count, capacity * 2)
        memory = try Memory(byteCount: grown * rowBytes)
        capacity = grown
    }

    /// A writable, readable view of the first `count` rows, to be handed to threads that split it by row.
    public func view(_ count: Int) -> View {
        precondition(count <= capacity, "\(count) activations of \(capacity)")
        return View(base: memory.base, count: count, columns: columns, rowBytes: rowBytes, format: format,
                    group: group, kernels: kernels)
    }

    /// Unchecked: see ``Rows``.
    public struct View: @unchecked Sendable {
        let base: UnsafeMutableRawPointer
        public let count: Int
        public let columns: Int
        let rowBytes: Int
        let format: NumberFormat
        let group: ScaleGroup
        let kernels: KernelSet

        /// Some of the rows, `rows` of them all.
        public func slice(_ rows: Range<Int>) -> View {
            precondition(rows.lowerBound >= 0 && rows.upperBound <= count, "rows \(rows) of \(count)")
            return View(base: base + rows.lowerBound * rowBytes, count: rows.count, columns: columns, rowBytes: rowBytes,
                        format: format, group: group, kernels: kernels)
        }

        /// Stores `silu(gate) * up` of `rows`, columns of panel `panel`. `y`: from the first of the rows on, gates in columns
        /// 0 ..< 64, ups in 64 ..< 128.
        func setGated(_ rows: Range<Int>, panel: Int, from y: UnsafePointer<Float>, stride: Int) {
            precondition(rows.lowerBound >= 0 && rows.upperBound <= count, "rows \(rows) of \(count)")
            let first = panel * Int(BK_PANEL), n = min(Int(BK_PANEL), columns - first)
            kernels.table.gate_rows(y, stride, rows.count, n, format.cType, base + rows.lowerBound * rowBytes, columns,
                                    group.rawValue, first)
        }

        /// Stores row `row`, rounding to the format. `values`: `[columns]`.
        public func set(row: Int, to values: UnsafePointer<Float>) {
            precondition(row >= 0 && row < count, "row \(row) of \(count)")
            let target = base + row * rowBytes
            switch format {
            case .float32: target.copyMemory(from: values, byteCount: columns * 4)
            case .bfloat16: kernels.table.round_rows(values, columns, target, 1, columns)
            case .int8: kernels.table.quantize_rows(values, columns, target, 1, columns, group.rawValue)
            }
        }
    }
}
