@testable import Kernels

/// A small deterministic generator for test data.
struct TestRandom {
    var state: UInt64

    init(_ seed: UInt64) { state = seed &+ 0x9e37_79b9_7f4a_7c15 }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let x = (state ^ state >> 33) &* 0xff51_afd7_ed55_8ccd
        return x ^ x >> 33
    }

    mutating func int(_ range: ClosedRange<Int>) -> Int { range.lowerBound + Int(next() % UInt64(range.count)) }
    /// Uniform in (-1, 1).
    mutating func float() -> Float { Float(Int64(bitPattern: next()) >> 40) / 8_388_608 }
    mutating func floats(_ count: Int) -> [Float] { (0..<count).map { _ in float() } }
}

extension KernelSet {
    /// Every instruction set of this machine.
    static var all: [KernelSet] { available.compactMap { try? KernelSet($0) } }
}

/// The arithmetic of the kernels, written down a second time, plainly.
enum Reference {
    static func bfloat16(_ x: Float) -> Float {
        let bits = x.bitPattern
        return Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000)
    }

    /// One head vector as int8 KV keeps it: whole numbers and their scale.
    static func int8(_ x: [Float]) -> (q: [Float], scale: Float) {
        let zeros = [Float](repeating: 0, count: x.count)
        guard x.allSatisfy(\.isFinite) else { return (zeros, .nan) }
        let largest = x.reduce(Float(0)) { max($0, $1.magnitude) }
        guard largest >= 0x1p-119 else { return (zeros, 0) }
        let factor = 127 / largest
        return (x.map { ($0 * factor).rounded(.toNearestOrEven) }, largest / 127)
    }

    /// One output: fma over k, ascending.
    static func dot(_ x: ArraySlice<Float>, _ w: ArraySlice<Float>) -> Float {
        zip(x, w).reduce(Float(0)) { $0.addingProduct($1.0, $1.1) }
    }

    /// One output of a product by tiles: even and odd inputs apart, `step` at a time, without subnormal numbers.
    static func tileDot(_ x: ArraySlice<Float>, _ w: ArraySlice<Float>, step: Int = 32) -> Float {
        func flushed(_ x: Float) -> Float { x.isSubnormal ? Float(sign: x.sign, exponent: 0, significand: 0) : x }
        let x = Array(x), w = Array(w)
        var sum = Float(0)
        for first in stride(from: 0, to: x.count, by: step) {
            var parts: [Float] = [0, 0]
            for k in first..<first + step { // Beyond the end there are zeros.
                let (a, b) = k < x.count ? (x[k], w[k]) : (0, 0)
                parts[k % 2] = flushed(parts[k % 2].addingProduct(flushed(a), flushed(b)))
            }
            sum = flushed(sum + flushed(parts[0] + parts[1]))
        }
        return sum
    }

    static func tree<Number: FloatingPoint>(_ lanes: [Number]) -> Number {
        var lanes = lanes, step = 8
        while step > 0 {
            for i in 0..<step { lanes[i] += lanes[i + step] }
            step /= 2
        }
        return lanes[0]
    }

    /// Attention of one query over visible positions, as baton_kernels.h states it. `key(p)`, `value(p)`: [headDim] and
    /// its scale, 1 where there is none (then multiplying by it is exact). With `pairs`, q and the weights are rounded, and
    /// multiplied as the matrices are.
    static func attention(
        _ q: [Float], position: Int, window: Int?, pairs: PairProducts? = nil, key: (Int) -> ([Float], Float),
        value: (Int) -> ([Float], Float)
    ) throws -> [Float] {
        let low = window.map { max(0, position - $0 + 1) } ?? 0, scale = 1 / Float(q.count).squareRoot()
        var total: (m: Float, l: Float, o: [Float])?
        for partition in (low / 256)...(position / 256) {
            let visible = max(low, partition * 256)...min(position, partition * 256 + 255)
            let scores = if let pairs {
                try pairs.multiply(q, visible.map { key($0).0 }).map { scale * $0 }
            } else {
                visible.map { p in
                    let (k, keyScale) = key(p)
                    return scale * (keyScale * dot(q[...], k[...]))
                }
            }
            let m = scores.reduce(-Float.infinity) { max($0, $1) }
            var lanes = [Float](repeating: 0, count: 16), o = [Float](repeating: 0, count: q.count)
            for (p, score) in zip(visible, scores) {
                let weight = Elementary.exp(score - m)
                lanes[p % 16] += weight
                if pairs != nil { continue }
                let (v, valueScale) = value(p)
                for d in o.indices { o[d] = o[d].addingProduct(weight * valueScale, v[d]) }
            }
            if let pairs {
                var weights = [Float](repeating: 0, count: 256), columns = o.map { _ in weights }
                for (p, score) in zip(visible, scores) {
                    weights[p % 256] = Elementary.exp(score - m)
                    for (d, v) in value(p).0.enumerated() { columns[d][p % 256] = v }
                }
                o = try pairs.multiply(weights, columns, step: 16)
            }
            let part = (m: m, l: tree(lanes), o: o)
            guard let old = total else { total = part; continue }
            let larger = max(old.m, part.m), a = Elementary.exp(old.m - larger), b = Elementary.exp(part.m - larger)
            total = (larger, old.l * a + part.l * b, zip(old.o, part.o).map { ($0 * a) + ($1 * b) })
        }
        guard let total else { return [] }
        return total.o.map { $0 / total.l }
    }
}

extension KernelSet {
    /// Names the arithmetic of attention over `format`.
    func attentionFamily(_ format: NumberFormat, isPaired: Bool) -> String {
        isPaired ? family(for: .bfloat16) : "\(format)"
    }
}

/// Sums of products as the matrices of bfloat16 have them: that of tiles is written down; the rounding of the other instruction for
/// pairs cannot be, but attention may not have another.
struct PairProducts {
    let kernels: KernelSet
    private let team: ThreadTeam

    init(_ kernels: KernelSet) throws {
        self.kernels = kernels
        team = try ThreadTeam(maxThreads: 1)
    }

    /// x times each of `columns`.
    /// - Parameter step: of tiles.
    func multiply(_ x: [Float], _ columns: [[Float]], step: Int = 32) throws -> [Float] {
        if kernels.multipliesTiles {
            let x = x.map(Reference.bfloat16)
            return columns.map { Reference.tileDot(x[...], $0.map(Reference.bfloat16)[...], step: step) }
        }
        let matrix = try packed(
            Array(columns.joined()), outputs: columns.count, inputs: x.count, .bfloat16, team: team)
        return try Array(KernelsTests.multiply(x, rows: 1, matrix, kernels, team: team, threads: 1)[0].prefix(columns.count))
    }
}

func bits(_ values: some Sequence<Float>) -> [UInt32] { values.map(\.bitPattern) }

/// `x [rows][inputs]` times a packed matrix.
func multiply(
    _ x: [Float], rows: Int, _ matrix: PackedMatrix, _ kernels: KernelSet, team: ThreadTeam, threads: Int
) throws -> [[Float]] {
    let activations = try Activations(columns: matrix.inputs, format: matrix.format, group: matrix.group, kernels: kernels,
                                      capacity: rows)
    let view = activations.view(rows)
    x.withUnsafeBufferPointer { x in
        guard let base = x.baseAddress else { return }
        for row in 0..<rows { view.set(row: row, to: base + row * matrix.inputs) }
    }
    let scratch = try ScratchRows(columns: matrix.outputs, capacity: rows), y = try scratch.rows(rows)
    matrix.multiply(view, into: y, team: team, threads: threads)
    return withExtendedLifetime((activations, scratch)) { (0..<rows).map { Array(y[$0]) } }
}

func packed(
    _ w: [Float], outputs: Int, inputs: Int, _ format: NumberFormat, group: ScaleGroup = .of64, team: ThreadTeam,
    path: Float32Path = .packed
) throws -> PackedMatrix {
    try w.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress else { preconditionFailure("an empty matrix") }
        return try PackedMatrix([.init(base: base, rows: outputs, type: .float32)], inputs: inputs, format: format,
                                group: group, team: team, threads: team.maxThreads, float32Path: path)
    }
}

extension Activations {
    /// The stored rows as they are.
    func bytes(_ rows: Int) -> [UInt8] {
        let view = view(rows)
        return withExtendedLifetime(self) { Array(UnsafeRawBufferPointer(start: view.base, count: rows * view.rowBytes)) }
    }
}
