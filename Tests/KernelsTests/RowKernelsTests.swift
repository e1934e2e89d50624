import Foundation
@testable import Kernels
import Testing

@Suite struct RowKernelsTests {
    static let widths = [1, 2, 15, 16, 17, 50, 64, 100, 1031]

    @Test(arguments: widths)
    func rmsNormFollowsItsFormula(width: Int) {
        var random = TestRandom(UInt64(width))
        let x = random.floats(width), w = random.floats(width), epsilon: Float = 1e-5
        var lanes = [Float](repeating: 0, count: 16)
        for (i, value) in x.enumerated() { lanes[i % 16] = lanes[i % 16].addingProduct(value, value) }
        let inverse = 1 / (Reference.tree(lanes) / Float(width) + epsilon).squareRoot()
        let expected = zip(x, w).map { ($0 * inverse) * $1 }
        for kernels in KernelSet.all {
            var out = [Float](repeating: .nan, count: width)
            kernels.rmsNorm(x, weight: w, into: &out, epsilon: epsilon)
            #expect(bits(out) == bits(expected), "\(kernels)")
        }
    }

    /// Gate and up in one product: what two matrices and the formula give, in every format, for odd widths, many rows and
    /// on any number of threads.
    @Test(arguments: [(width: 5, rows: 1), (64, 3), (100, 7), (192, 200), (130, 97)])
    func gatedProductsFollowTheirFormula(width: Int, rows: Int) throws {
        let inputs = 48, team = try ThreadTeam(maxThreads: 2)
        var random = TestRandom(UInt64(width))
        let gate = random.floats(width * inputs), up = random.floats(width * inputs), x = random.floats(rows * inputs).map { $0 * 4 }
        for format in NumberFormat.allCases {
            let shape = PackedMatrix.Shape(pairsOf: width, inputs: inputs, format: format)
            let memory = try Memory(byteCount: shape.byteCount)
            gate.withUnsafeBytes { gates in
                up.withUnsafeBytes { ups in
                    guard let g = gates.baseAddress, let u = ups.baseAddress else { return }
                    PackedMatrix.pack([.init(base: g, rows: width, type: .float32), .init(base: u, rows: width, type: .float32)],
                                      as: shape, into: memory, at: 0, team: team, threads: 2)
                }
            }
            let matrix = PackedMatrix(shape, in: memory, at: 0)
            let gateAlone = try packed(gate, outputs: width, inputs: inputs, format, team: team)
            let upAlone = try packed(up, outputs: width, inputs: inputs, format, team: team)
            for kernels in KernelSet.all {
                let gates = try multiply(x, rows: rows, gateAlone, kernels, team: team, threads: 1)
                let ups = try multiply(x, rows: rows, upAlone, kernels, team: team, threads: 1)
                let expected = try Activations(columns: width, format: format, kernels: kernels, capacity: rows)
                for row in 0..<rows {
                    let values = zip(gates[row], ups[row]).map { Elementary.silu($0) * $1 }
                    expected.view(rows).set(row: row, to: values)
                }
                for threads in [1, 2] {
                    let input = try Activations(columns: inputs, format: format, kernels: kernels, capacity: rows)
                    x.withUnsafeBufferPointer { x in
                        guard let base = x.baseAddress else { return }
                        for row in 0..<rows { input.view(rows).set(row: row, to: base + row * inputs) }
                    }
                    let out = try Activations(columns: width, format: format, kernels: kernels, capacity: rows)
                    let scratch = try ScratchRows(columns: PackedMatrix.gatedScratchColumns, capacity: 2)
                    matrix.multiplyGated(input.view(rows), into: out.view(rows), scratch: try scratch.rows(2), whole: nil,
                                         team: team, threads: threads)
                    #expect(out.bytes(rows) == expected.bytes(rows), "\(format) \(kernels) \(threads)")
                    withExtendedLifetime(scratch) {}
                }
            }
        }
    }

    @Test(arguments: widths + [1024, 1025, 5000])
    func softmaxWeightsFollowTheirFormula(count: Int) {
        var random = TestRandom(UInt64(count) + 9)
        var x = random.floats(count).map { $0 * 12 }
        x[random.int(0...count - 1)] = -.infinity
        let largest: Float = 12, temperature: Float = 0.7
        for least: Float in [0, 1e-6] {
            let weights = x.map { Elementary.exp(($0 - largest) / temperature) }
            let sums = stride(from: 0, to: count, by: 1024).map { start -> Double in
                var lanes = [Double](repeating: 0, count: 16)
                for i in start..<min(start + 1024, count) where weights[i] >= least { lanes[i % 16] += Double(weights[i]) }
                return Reference.tree(lanes)
            }
            for kernels in KernelSet.all {
                var out: [Float] = [], outSums: [Double] = []
                x.withUnsafeBufferPointer {
                    kernels.softmaxWeights($0, largest: largest, temperature: temperature, least: least, into: &out, sums: &outSums)
                }
                #expect(bits(out) == bits(weights), "\(kernels)")
                #expect(outSums.map(\.bitPattern) == sums.map(\.bitPattern), "\(kernels)")
            }
        }
    }

    @Test(arguments: widths + [64, 128, 5000])
    func indexesAtLeastAreAllOfThem(count: Int) {
        var random = TestRandom(UInt64(count) + 5)
        let x = random.floats(count)
        for least: Float in [-2, 0, 0.9, 2] {
            let expected = x.indices.filter { x[$0] >= least }.map { Int32($0) }
            for kernels in KernelSet.all {
                var scratch: [Int32] = []
                #expect(Array(kernels.indexes(of: x, atLeast: least, scratch: &scratch)) == expected, "\(kernels)")
            }
        }
    }

    @Test(arguments: widths)
    func largestIsTheLowestOfEqualOnes(width: Int) {
        var random = TestRandom(UInt64(width))
        for kernels in KernelSet.all {
            func largest(_ values: [Float]) -> KernelSet.Largest { values.withUnsafeBufferPointer { kernels.largest(of: $0) } }
            for _ in 0..<20 {
                var values = (0..<width).map { _ in Float(random.int(0...9)) }
                let expected = values.indices.max { (values[$0], -$0) < (values[$1], -$1) } ?? 0
                #expect(largest(values) == .index(expected), "\(kernels)")
                values[random.int(0...width - 1)] = .nan
                #expect(largest(values) == .invalid)
                values = values.map { _ in -.infinity }
                #expect(largest(values) == .none)
                values[width - 1] = -5
                #expect(largest(values) == .index(width - 1))
                values[width / 2] = .infinity
                #expect(largest(values) == .invalid)
            }
            #expect(largest([]) == .none)
        }
    }

    @Test(arguments: widths)
    func addFollowsItsFormula(width: Int) {
        var random = TestRandom(UInt64(width))
        let x = random.floats(width), y = random.floats(width)
        for kernels in KernelSet.all {
            var sum = x
            kernels.add(y, to: &sum, count: width)
            #expect(bits(sum) == bits(zip(x, y).map { $0 + $1 }), "\(kernels)")
        }
    }

    @Test(arguments: [2, 10, 24, 32, 64, 256])
    func rotationKeepsLengthsAndFollowsTheHalfSplitLayout(dim: Int) {
        var random = TestRandom(UInt64(dim))
        let heads = 3, x = random.floats(heads * dim), half = dim / 2
        let frequencies = (0..<half).map { Float(pow(10_000, -Double(2 * $0) / Double(dim))) }
        var cosine = [Float](repeating: 0, count: half), sine = cosine
        Elementary.rope(position: 1234, frequencies: frequencies, cosine: &cosine, sine: &sine)
        for i in 0..<half {
            let angle = Double(Float(1234) * frequencies[i])
            #expect(cosine[i] == Float(cos(angle)) && sine[i] == Float(sin(angle)))
        }
        var expected = x
        for head in 0..<heads {
            for i in 0..<half {
                let a = x[head * dim + i], b = x[head * dim + half + i]
                expected[head * dim + i] = (a * cosine[i]) - (b * sine[i])
                expected[head * dim + half + i] = (b * cosine[i]) + (a * sine[i])
            }
        }
        for kernels in KernelSet.all {
            var out = x
            kernels.rotate(&out, heads: heads, headDim: dim, cosine: cosine, sine: sine)
            #expect(bits(out) == bits(expected), "\(kernels)")
        }
    }
}
