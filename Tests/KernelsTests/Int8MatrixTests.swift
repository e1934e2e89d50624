@testable import Kernels
import Testing

/// Int8 weights: one arithmetic, whatever the instruction set and the number of rows.
@Suite struct Int8MatrixTests {
    /// What the numbers of a test are like.
    enum Kind: CaseIterable {
        case uniform
        /// All at the ends of the range, signs in step: sums of pairs of products leave 16 bits.
        case extreme
        /// As `extreme`, signs alternating.
        case alternating
        /// Mostly zeros, some groups all zeros, others tiny.
        case sparse

        func weights(_ count: Int, _ random: inout TestRandom) -> [Float] {
            switch self {
            case .uniform: random.floats(count)
            case .extreme: [Float](repeating: 1, count: count)
            case .alternating: (0..<count).map { $0 % 2 == 0 ? 1 : -1 }
            case .sparse: (0..<count).map { i in i / 70 % 2 == 0 || i % 3 == 0 ? 0 : random.float() * (i % 11 == 0 ? 1e-7 : 1e-4) }
            }
        }

        func activations(_ count: Int, _ random: inout TestRandom) -> [Float] {
            switch self {
            case .uniform: random.floats(count).map { $0 * 30 }
            case .extreme: [Float](repeating: -3, count: count)
            case .alternating: (0..<count).map { $0 % 4 < 2 ? 5 : -5 }
            case .sparse: (0..<count).map { i in i / 90 % 2 == 0 ? 0 : random.float() * (i % 7 == 0 ? 1e-35 : 1) }
            }
        }
    }

    static let shapes: [(outputs: Int, inputs: Int)] = [(1, 1), (63, 7), (64, 64), (65, 33), (130, 97), (70, 301), (129, 1031)]

    @Test(arguments: Kind.allCases, ScaleGroup.allCases)
    func everyInstructionSetFollowsTheStatedArithmetic(kind: Kind, group: ScaleGroup) throws {
        let team = try ThreadTeam(maxThreads: 2), rows = 8
        for (outputs, inputs) in Self.shapes {
            var random = TestRandom(UInt64(outputs * 1000 + inputs))
            let w = kind.weights(outputs * inputs, &random), x = kind.activations(rows * inputs, &random)
            let qw = (0..<outputs).map { Reference.quantizedWeights(w[$0 * inputs..<($0 + 1) * inputs], group: group) }
            let qx = (0..<rows).map { Reference.quantizedActivations(x[$0 * inputs..<($0 + 1) * inputs], group: group) }
            let expected = qx.map { x in qw.map { w in Reference.product(x, w) } }
            let matrix = try packed(w, outputs: outputs, inputs: inputs, .int8, group: group, team: team)
            for kernels in KernelSet.all {
                let y = try multiply(x, rows: rows, matrix, kernels, team: team, threads: 2)
                #expect(y.map(bits) == expected.map(bits), "\(kernels) [\(outputs), \(inputs)]")
            }
        }
    }

    @Test(arguments: ScaleGroup.allCases)
    func everyInstructionSetAgreesForEveryNumberOfRows(group: ScaleGroup) throws {
        var random = TestRandom(7)
        let outputs = 130, inputs = 715, team = try ThreadTeam(maxThreads: 2), x = random.floats(70 * inputs)
        let matrix = try packed(random.floats(outputs * inputs), outputs: outputs, inputs: inputs, .int8, group: group, team: team)
        let expected = try multiply(x, rows: 70, matrix, KernelSet(.scalar), team: team, threads: 2).map(bits)
        for kernels in KernelSet.all {
            for rows in 1...70 {
                let y = try multiply(x, rows: rows, matrix, kernels, team: team, threads: rows % 2 + 1)
                #expect(y.map(bits) == Array(expected[..<rows]), "\(kernels), \(rows) rows")
            }
        }
    }

    /// Against float64: rounding of the sums is that of float32, and quantization costs about half a percent.
    @Test(arguments: ScaleGroup.allCases)
    func theProductIsNear(group: ScaleGroup) throws {
        var random = TestRandom(8)
        let outputs = 70, inputs = 1030, team = try ThreadTeam(maxThreads: 1), kernels = try #require(KernelSet.all.last)
        let x = random.floats(inputs), w = random.floats(outputs * inputs)
        let matrix = try packed(w, outputs: outputs, inputs: inputs, .int8, group: group, team: team)
        let y = try multiply(x, rows: 1, matrix, kernels, team: team, threads: 1)[0]
        let qx = Reference.quantizedActivations(x[...], group: group).values
        var error = 0.0, norm = 0.0
        for n in 0..<outputs {
            var row = [Float](repeating: 0, count: inputs)
            matrix.copyRow(n, to: &row)
            let products = zip(qx, row).map { Double($0) * Double($1) }, size = products.reduce(0) { $0 + abs($1) }
            #expect(abs(products.reduce(0, +) - Double(y[n])) < 1e-6 * size)
            let exact = zip(x, w[n * inputs..<(n + 1) * inputs]).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            error += (exact - Double(y[n])) * (exact - Double(y[n]))
            norm += exact * exact
        }
        #expect((error / norm).squareRoot() < 0.01)
    }

    @Test func rowsReadBackAsQuantized() throws {
        var random = TestRandom(9)
        let outputs = 70, inputs = 99, team = try ThreadTeam(maxThreads: 2)
        for group in ScaleGroup.allCases {
            let w = random.floats(outputs * inputs)
            let matrix = try packed(w, outputs: outputs, inputs: inputs, .int8, group: group, team: team)
            for row in [0, 1, 63, 64, 69] {
                var out = [Float](repeating: .nan, count: inputs)
                matrix.copyRow(row, to: &out)
                let quantized = Reference.quantizedWeights(w[row * inputs..<(row + 1) * inputs], group: group)
                #expect(bits(out) == bits(quantized.values))
            }
        }
    }

    /// Groups so small that their scale is subnormal are coarse, and never clipped; too large ones are clipped.
    @Test func scalesStayWithinFloat16() throws {
        let team = try ThreadTeam(maxThreads: 1)
        var row = [Float](repeating: 0, count: 64)
        func readBack(_ largest: Float) throws -> Float {
            row[5] = largest
            let matrix = try packed(row, outputs: 1, inputs: 64, .int8, team: team)
            var out = [Float](repeating: .nan, count: 64)
            matrix.copyRow(0, to: &out)
            return out[5]
        }
        for exponent in -22...21 {
            for mantissa in [Float(1), 1.2345, 1.9999] {
                let value = Float(sign: .plus, exponent: exponent, significand: mantissa)
                // Half a step of a scale which is at most one step of float16 above amax / 127.
                #expect(abs(try readBack(value) - value) <= value / 254 * 1.01 + 0x1p-25, "\(value)")
            }
        }
        #expect(try readBack(1e-9) == 0)
        #expect(try readBack(1e9) == 127 * 65504)
    }

    @Test func whatIsNotANumberStaysSo() throws {
        var random = TestRandom(10)
        let outputs = 70, inputs = 200, team = try ThreadTeam(maxThreads: 1)
        var w = random.floats(outputs * inputs), x = random.floats(9 * inputs)
        w[66 * inputs + 150] = .infinity
        x[3 * inputs + 70] = .nan
        x[5 * inputs + 199] = -.infinity
        let matrix = try packed(w, outputs: outputs, inputs: inputs, .int8, team: team)
        for kernels in KernelSet.all {
            let y = try multiply(x, rows: 9, matrix, kernels, team: team, threads: 1)
            for m in 0..<9 {
                for n in 0..<outputs { #expect(y[m][n].isNaN == (m == 3 || m == 5 || n == 66), "\(kernels) \(m) \(n)") }
            }
        }
    }

    /// Q8_0 blocks keep their bytes, -128 too, and their scales.
    @Test func quantizedSourcesStayAsTheyAre() throws {
        var random = TestRandom(11)
        let inputs = 96, counts = [40, 31], team = try ThreadTeam(maxThreads: 2)
        var bytes: [UInt8] = [], values: [[Float]] = []
        for _ in 0..<counts.reduce(0, +) {
            var row: [Float] = []
            for _ in 0..<inputs / 32 {
                let scale = Float16(random.float()), q = (0..<32).map { _ in Int8(random.int(-128...127)) }
                bytes += [UInt8(truncatingIfNeeded: scale.bitPattern), UInt8(scale.bitPattern >> 8)] + q.map { UInt8(bitPattern: $0) }
                row += q.map { Float($0) * Float(scale) }
            }
            values.append(row)
        }
        let matrix = try bytes.withUnsafeBytes { bytes in
            let base = try #require(bytes.baseAddress)
            return try PackedMatrix(
                [.init(base: base, rows: counts[0], type: .q8_0),
                 .init(base: base + counts[0] * 102, rows: counts[1], type: .q8_0)],
                inputs: inputs, format: .int8, group: .of32, team: team, threads: 2)
        }
        #expect(matrix.outputs == 71 && matrix.group == .of32)
        for (row, expected) in values.enumerated() {
            var out = [Float](repeating: .nan, count: inputs)
            matrix.copyRow(row, to: &out)
            #expect(bits(out) == bits(expected))
        }
        let x = random.floats(inputs), qx = Reference.quantizedActivations(x[...], group: .of32).values
        for kernels in KernelSet.all {
            let y = try multiply(x, rows: 1, matrix, kernels, team: team, threads: 1)[0]
            for (y, row) in zip(y, values) {
                let products = zip(qx, row).map { Double($0) * Double($1) }
                #expect(abs(products.reduce(0, +) - Double(y)) < 1e-6 * products.reduce(0) { $0 + abs($1) }, "\(kernels)")
            }
        }
    }

    @Test func bytesAreAboutOnePerWeight() throws {
        let team = try ThreadTeam(maxThreads: 1), w = [Float](repeating: 1, count: 128 * 640)
        #expect(try packed(w, outputs: 128, inputs: 640, .int8, team: team).byteCount == 128 * 640 + 128 * 10 * 2)
        #expect(try packed(w, outputs: 128, inputs: 640, .int8, group: .of32, team: team).byteCount == 128 * 640 + 128 * 20 * 2)
    }
}

/// Quantized numbers, in groups.
struct Quantized {
    /// `[groups][inputs of the group]`
    var groups: [[Int32]] = []
    var scales: [Float] = []

    var values: [Float] { zip(groups, scales).flatMap { group, scale in group.map { Float($0) * scale } } }
}

extension Reference {
    private static func groups(_ x: ArraySlice<Float>, _ group: ScaleGroup) -> [[Float]] {
        stride(from: 0, to: x.count, by: group.rawValue).map { Array(x.dropFirst($0).prefix(group.rawValue)) }
    }

    static func quantizedWeights(_ w: ArraySlice<Float>, group: ScaleGroup) -> Quantized {
        var result = Quantized()
        for values in groups(w, group) {
            let amax = values.reduce(0) { max($0, abs($1)) }
            var scale = Float16(amax / 127)
            if Float(scale) * 127.5 < amax { scale = scale.nextUp }
            result.scales.append(Float(scale))
            result.groups.append(values.map { value in
                scale == 0 ? 0 : Int32(max(-127, min(127, (value / Float(scale)).rounded(.toNearestOrEven))))
            })
        }
        return result
    }

    static func quantizedActivations(_ x: ArraySlice<Float>, group: ScaleGroup) -> Quantized {
        var result = Quantized()
        for values in groups(x, group) {
            let amax = values.reduce(0) { max($0, abs($1)) }, isZero = amax < 0x1p-100
            result.scales.append(isZero ? 0 : amax / 127)
            result.groups.append(values.map { isZero ? 0 : Int32(($0 * (127 / amax)).rounded(.toNearestOrEven)) })
        }
        return result
    }

    /// One output: exact within a group, groups ascending.
    static func product(_ x: Quantized, _ w: Quantized) -> Float {
        x.groups.indices.reduce(Float(0)) { sum, g in
            let dot = zip(x.groups[g], w.groups[g]).reduce(Int32(0)) { $0 + $1.0 * $1.1 }
            return sum.addingProduct(Float(dot), x.scales[g] * w.scales[g])
        }
    }
}
