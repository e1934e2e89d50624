import CKernels

/// Kernels over single rows; each result depends on its row alone.
extension KernelSet {
    /// `out = x / sqrt(mean(x^2) + epsilon) * weight`; all `[count]`, `out` may be `x`.
    public func rmsNorm(
        _ x: UnsafePointer<Float>, weight: [Float], into out: UnsafeMutablePointer<Float>, epsilon: Float
    ) {
        table.rms_norm(x, weight, out, weight.count, epsilon)
    }

    /// `x += y`; both `[count]`.
    public func add(_ y: UnsafePointer<Float>, to x: UnsafeMutablePointer<Float>, count: Int) {
        table.add(x, y, count)
    }

    /// Rotates `x: [heads, headDim]` in place (half-split layout) by a position's ``RopeTable`` row, each
    /// `[headDim / 2]`.
    public func rotate(
        _ x: UnsafeMutablePointer<Float>, heads: Int, headDim: Int, cosine: UnsafePointer<Float>,
        sine: UnsafePointer<Float>
    ) {
        precondition(headDim % 2 == 0, "head dimension \(headDim)")
        table.rope(x, heads, headDim, cosine, sine)
    }

    /// Elements that share one sum of ``softmaxWeights(_:largest:temperature:least:into:sums:)``.
    public static let sumBlock = Int(BK_SUM_BLOCK)

    /// `weights[i] = exp((x[i] - largest) / temperature)`, equal bits to ``Elementary/exp(_:)``, and for each block of
    /// ``sumBlock`` of them the sum of those that are at least `least`. `x`: fewer than 2^31; the arrays are resized.
    public func softmaxWeights(
        _ x: UnsafeBufferPointer<Float>, largest: Float, temperature: Float, least: Float, into weights: inout [Float],
        sums: inout [Double]
    ) {
        let blocks = (x.count + Self.sumBlock - 1) / Self.sumBlock
        if weights.count != x.count { weights = [Float](repeating: 0, count: x.count) }
        if sums.count != blocks { sums = [Double](repeating: 0, count: blocks) }
        weights.withUnsafeMutableBufferPointer { weights in
            sums.withUnsafeMutableBufferPointer { sums in
                guard let from = x.baseAddress, let to = weights.baseAddress, let sum = sums.baseAddress else { return }
                table.softmax_weights(from, x.count, largest, temperature, least, to, sum)
            }
        }
    }

    /// Indexes of the elements of `values` that are at least `least`, ascending; valid until `scratch` changes.
    public func indexes(of values: [Float], atLeast least: Float, scratch: inout [Int32]) -> ArraySlice<Int32> {
        precondition(values.count <= Int(Int32.max), "\(values.count) values")
        if scratch.count < values.count { scratch = [Int32](repeating: 0, count: values.count) }
        let count = scratch.withUnsafeMutableBufferPointer { found in
            found.baseAddress.map { table.find_at_least(values, values.count, least, $0) } ?? 0
        }
        return scratch.prefix(count)
    }

    /// What ``largest(of:)`` finds.
    public enum Largest: Sendable, Hashable {
        /// The lowest index of the largest value.
        case index(Int)
        /// There are no values, or all are minus infinity.
        case none
        /// A value is NaN or plus infinity.
        case invalid
    }

    /// Finds the largest of `values`, fewer than 2^31.
    public func largest(of values: UnsafeBufferPointer<Float>) -> Largest {
        guard let base = values.baseAddress else { return .none }
        precondition(values.count <= Int(Int32.max), "\(values.count) values")
        var invalid = false
        let index = table.argmax(base, values.count, &invalid)
        if invalid { return .invalid }
        return index < 0 ? .none : .index(Int(index))
    }
}

/// Elementary functions from correctly rounded operations: the same bits on every machine, unlike libm's.
public enum Elementary {
    public static func exp(_ x: Float) -> Float { bk_exp(x) }
    public static func silu(_ x: Float) -> Float { bk_silu(x) }
    /// Of a positive, normal number.
    public static func log2(_ x: Double) -> Double { bk_log2(x) }
    /// For |x| < 1000.
    public static func exp2(_ x: Double) -> Double { bk_exp2(x) }
    /// For |x| < 2^26.
    public static func sineAndCosine(_ x: Double) -> (sine: Double, cosine: Double) {
        var sine = 0.0, cosine = 0.0
        bk_sincos(x, &sine, &cosine)
        return (sine, cosine)
    }

    /// cos and sin of `float32(position) * frequencies[i]`, each `[frequencies.count]`.
    public static func rope(
        position: Int32, frequencies: [Float], cosine: UnsafeMutablePointer<Float>, sine: UnsafeMutablePointer<Float>
    ) {
        bk_rope_table(position, frequencies, frequencies.count, cosine, sine)
    }
}
