import CKernels
import CKernels
import COpenBLAS
import Synchronization

/// Which float32 matrix product is used; `BATON_FLOAT32_GEMM`. Part of the numerics class.
public enum Float32Path: String, Sendable, Hashable {
    case packed
    case openBLAS = "openblas"

    public static func select(environment: [String: String]) throws(KernelError) -> Float32Path {
        guard let name = environment["BATON_FLOAT32_GEMM"] else { return .packed }
        guard let path = Float32Path(rawValue: name) else { throw .unknownFloat32Path(name) }
        return path
    }
}

/// OpenBLAS as the float32 product of one weight shape, for every number of rows or for none.
///
/// OpenBLAS is not batch-invariant: its AVX2 kernels give a row other bits for few and for many rows and for some
/// positions in a tile, and a small-matrix path takes over below about 10^6 multiply-adds. So rows are padded past that
/// limit, and the first use of a shape checks that a row's bits are the same for many numbers of rows at every
/// position; a shape that fails is left to the packed kernels. On processors with AVX-512 it passes with the kernels that
/// ``OpenBLASLibrary`` asks for.
///
/// One BLAS thread; our own team splits the outputs. Costs a second copy of the weights, row-major; the packed one stays.
public final class OpenBLASPath: Sendable {
    private let weights: Memory // [outputs][inputs] float32
    private let outputs: Int
    private let inputs: Int
    private let minimumRows: Int
    private let library: OpenBLASLibrary

    /// Columns of one call: the split is fixed, so the number of threads cannot show in the bits.
    private static let span = 512

    /// `nil` if OpenBLAS's bits depend on the batch for this shape.
    public init?(_ sources: [PackedMatrix.Source], as shape: PackedMatrix.Shape) throws(KernelError) {
        library = try OpenBLASLibrary.shared.get()
        (outputs, inputs) = (shape.outputs, shape.inputs)
        let lastSpan = (outputs - 1) % Self.span + 1
        minimumRows = Self.paddedRows(span: min(lastSpan, Self.span), inputs: inputs)
        weights = try Memory(byteCount: outputs * inputs * 4)
        for panel in 0..<PackedMatrix.paddedOutputs(outputs) / Int(BK_PANEL) {
            for (column, row) in shape.rows(ofPanel: panel, in: sources).enumerated() {
                guard let row else { continue } // Padding, or past the end.
                let output = panel * Int(BK_PANEL) + column
                sources[0].type.widen(row, into: weights.floats() + output * inputs, count: inputs)
            }
        }
        guard try isBatchInvariant() else { return nil }
    }

    private static func paddedRows(span: Int, inputs: Int) -> Int { 1_200_000 / (span * inputs) + 1 }

    func multiply(_ x: UnsafePointer<Float>, into y: Rows, team: ThreadTeam, threads: Int) {
        let rows = max(y.count, minimumRows), inputs = inputs, outputs = outputs, weights = weights, library = library
        let columns = Self.span
        // Padding rows read and write scratch of the call; only small shapes and few rows need them.
        let padded = rows > y.count
        nonisolated(unsafe) let input = padded ? Self.copy(x, rows: y.count, of: rows, columns: inputs) : x
        nonisolated(unsafe) let output = padded ? UnsafeMutablePointer<Float>.allocate(capacity: rows * y.stride) : y.base
        let spans = (outputs + columns - 1) / columns
        team.forEachRange(of: spans, chunk: 1, threads: threads) { range, _ in
            for span in range {
                let first = span * columns, count = min(columns, outputs - first)
                Self.product(library, input, weights.floats() + first * inputs, output + first, rows: rows, columns: count,
                             inputs: inputs, stride: y.stride)
            }
        }
        if padded {
            y.base.update(from: output, count: y.count * y.stride)
            output.deallocate()
            input.deallocate()
        }
    }

    private static func copy(_ x: UnsafePointer<Float>, rows: Int, of padded: Int, columns: Int) -> UnsafePointer<Float> {
        let copy = UnsafeMutablePointer<Float>.allocate(capacity: padded * columns)
        copy.initialize(repeating: 0, count: padded * columns)
        copy.update(from: x, count: rows * columns)
        return UnsafePointer(copy)
    }

    /// `y[rows][columns] = x[rows][inputs] * w[columns][inputs]^T`
    static func product(
        _ library: OpenBLASLibrary, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>,
        rows: Int, columns: Int, inputs: Int, stride: Int
    ) {
        library.product(CblasRowMajor, CblasNoTrans, CblasTrans, Int32(rows), Int32(columns), Int32(inputs), 1,
                        x, Int32(inputs), w, Int32(inputs), 0, y, Int32(stride))
    }

    /// Outcomes of the check by `[width, inputs, least rows]`: the layers of a model share their shapes.
    private static let checked = Mutex<[[Int]: Bool]>([:])

    /// Whether one row has equal bits at every position of every number of rows tried, for the widths that are used.
    private func isBatchInvariant() throws(KernelError) -> Bool {
        var widths: Set<Int> = [(outputs - 1) % Self.span + 1]
        if outputs > Self.span { widths.insert(Self.span) }
        for width in widths.sorted() {
            let key = [width, inputs, minimumRows]
            let known = Self.checked.withLock { $0[key] }
            let outcome: Bool
            if let known { outcome = known } else { outcome = try isBatchInvariant(width: width) }
            Self.checked.withLock { $0[key] = outcome }
            if !outcome { return false }
        }
        return true
    }

    private func isBatchInvariant(width: Int) throws(KernelError) -> Bool {
        let counts = [1, 2, 3, 5, 7, 8, 12, 13, 16, 24, 31, 32, 48, 64].map { max($0, minimumRows) } + [96, 129]
        let most = max(counts.max() ?? 1, minimumRows)
        let x = try Memory(byteCount: most * inputs * 4), y = try Memory(byteCount: most * width * 4)
        for row in 0..<most {
            for k in 0..<inputs { x.floats()[row * inputs + k] = Float((k &* 2_654_435_761) & 0xffff) / 65536 - 0.5 }
        }
        var expected: [UInt32]?
        for count in Set(counts).sorted() {
            Self.product(library, x.floats(), weights.floats(), y.floats(), rows: count, columns: width, inputs: inputs, stride: width)
            for row in 0..<count {
                let bits = (0..<width).map { y.floats()[row * width + $0].bitPattern }
                if let expected, expected != bits { return false }
                expected = bits
            }
        }
        return true
    }
}
