@testable import Kernels
import Testing

@Suite struct PackedMatrixTests {
    static let shapes: [(outputs: Int, inputs: Int)] = [(1, 1), (63, 7), (64, 64), (65, 33), (130, 50), (200, 301), (129, 1031)]

    @Test(arguments: shapes)
    func everyInstructionSetFollowsTheFoldOverK(shape: (outputs: Int, inputs: Int)) throws {
        var random = TestRandom(UInt64(shape.outputs * 1000 + shape.inputs))
        let rows = 9, team = try ThreadTeam(maxThreads: 2)
        let x = random.floats(rows * shape.inputs), w = random.floats(shape.outputs * shape.inputs)
        for format in [NumberFormat.float32, .bfloat16] { // Int8MatrixTests has the third.
            let round = format == .float32 ? { (x: Float) in x } : Reference.bfloat16
            let rx = x.map(round), rw = w.map(round)
            func expected(_ dot: (ArraySlice<Float>, ArraySlice<Float>) -> Float) -> [[Float]] {
                (0..<rows).map { m in
                    (0..<shape.outputs).map { n in
                        dot(rx[m * shape.inputs..<(m + 1) * shape.inputs], rw[n * shape.inputs..<(n + 1) * shape.inputs])
                    }
                }
            }
            let folded = expected(Reference.dot)
            let matrix = try packed(w, outputs: shape.outputs, inputs: shape.inputs, format, team: team)
            for kernels in KernelSet.all {
                let y = try multiply(x, rows: rows, matrix, kernels, team: team, threads: 2)
                switch kernels.family(for: format) {
                case "bf16-dpbf16":
                    let worst = zip(y.joined(), folded.joined()).map { abs($0 - $1) }.max() ?? 0
                    #expect(worst < 1e-5 * Float(shape.inputs), "\(kernels)")
                case "bf16-amx": #expect(y.map(bits) == expected { Reference.tileDot($0, $1) }.map(bits), "\(kernels)")
                default: #expect(y.map(bits) == folded.map(bits), "\(kernels) \(format)")
                }
            }
        }
    }

    /// Large and small, subnormal and of no value: what tiles make of them is written down, and rounding is the machine's own.
    @Test func tilesRoundAsStated() throws {
        guard let kernels = KernelSet.all.first(where: \.multipliesTiles) else { return }
        var random = TestRandom(8)
        let outputs = 64, inputs = 80, rows = 40, team = try ThreadTeam(maxThreads: 1)
        for exponents in [-133 ... -120, -80 ... -40, -70 ... -55, -8...8, 40...64] {
            func number() -> Float {
                let exponent = random.int(0...exponents.count - 1) + exponents.lowerBound
                let size = Float(sign: .plus, exponent: exponent, significand: 1 + abs(random.float()))
                return Reference.bfloat16(random.float() < 0 ? -size : size)
            }
            let x = (0..<rows * inputs).map { _ in number() }, w = (0..<outputs * inputs).map { _ in number() }
            let matrix = try packed(w, outputs: outputs, inputs: inputs, .bfloat16, team: team)
            let y = try multiply(x, rows: rows, matrix, kernels, team: team, threads: 1)
            for m in 0..<rows {
                let expected = (0..<outputs).map { n in
                    Reference.tileDot(x[m * inputs..<(m + 1) * inputs], w[n * inputs..<(n + 1) * inputs])
                }
                #expect(bits(y[m]) == bits(expected), "2^\(exponents), row \(m)")
            }
        }
    }

    /// What was computed before on the same threads, by tiles of other shapes, leaves nothing behind.
    @Test func productsOfDifferentHeightsTakeTurns() throws {
        var random = TestRandom(9)
        let inputs = 70, team = try ThreadTeam(maxThreads: 2), row = random.floats(inputs)
        let matrix = try packed(random.floats(130 * inputs), outputs: 130, inputs: inputs, .bfloat16, team: team)
        for kernels in KernelSet.all {
            let alone = bits(try multiply(row, rows: 1, matrix, kernels, team: team, threads: 1)[0])
            for count in [1, 40, 3, 17, 100, 1, 32, 33, 2] {
                let x = Array(repeatElement(row, count: count).joined())
                let y = try multiply(x, rows: count, matrix, kernels, team: team, threads: 2)
                #expect(y.allSatisfy { bits($0) == alone }, "\(kernels): \(count) rows")
            }
        }
    }

    /// The heart of batch invariance: a row's bits are the same alone, in any batch, at any place, on any threads.
    @Test(arguments: [(70, 40), (64, 300), (200, 1290)])
    func aRowHasTheSameBitsInEveryBatch(outputs: Int, inputs: Int) throws {
        var random = TestRandom(UInt64(outputs + inputs))
        let team = try ThreadTeam(maxThreads: 2), w = random.floats(outputs * inputs), row = random.floats(inputs)
        for format in NumberFormat.allCases {
            let matrix = try packed(w, outputs: outputs, inputs: inputs, format, team: team)
            for kernels in KernelSet.all where kernels.instructions != .scalar || inputs < 100 {
                let alone = bits(try multiply(row, rows: 1, matrix, kernels, team: team, threads: 1)[0])
                for count in Array(1...64) + [97, 200] { // The last ones are cut into pieces.
                    let place = random.int(0...count - 1)
                    var x = random.floats(count * inputs)
                    x.replaceSubrange(place * inputs..<(place + 1) * inputs, with: row)
                    let y = try multiply(x, rows: count, matrix, kernels, team: team, threads: count % 2 + 1)
                    #expect(bits(y[place]) == alone, "\(kernels) \(format): row \(place) of \(count)")
                }
            }
        }
    }

    @Test(arguments: NumberFormat.allCases)
    func stackedSourcesGiveTheBitsOfSingleOnes(format: NumberFormat) throws {
        var random = TestRandom(5)
        let inputs = 37, counts = [50, 20, 33], team = try ThreadTeam(maxThreads: 1), kernels = try #require(KernelSet.all.last)
        let parts = counts.map { random.floats($0 * inputs) }, x = random.floats(inputs)
        let stacked = try packed(Array(parts.joined()), outputs: 103, inputs: inputs, format, team: team)
        let whole = try multiply(x, rows: 1, stacked, kernels, team: team, threads: 1)[0]
        let single = try zip(parts, counts).flatMap { part, count in
            try multiply(x, rows: 1, packed(part, outputs: count, inputs: inputs, format, team: team), kernels, team: team,
                         threads: 1)[0]
        }
        #expect(bits(whole) == bits(single))
    }

    @Test(arguments: [NumberFormat.float32, .bfloat16])
    func rowsReadBackAsStored(format: NumberFormat) throws {
        var random = TestRandom(6)
        let outputs = 70, inputs = 33, w = random.floats(outputs * inputs), team = try ThreadTeam(maxThreads: 2)
        let matrix = try packed(w, outputs: outputs, inputs: inputs, format, team: team)
        for row in [0, 1, 63, 64, 69] {
            var out = [Float](repeating: 0, count: inputs)
            matrix.copyRow(row, to: &out)
            let stored = w[row * inputs..<(row + 1) * inputs]
            #expect(out == (format == .float32 ? Array(stored) : stored.map(Reference.bfloat16)))
        }
    }

    @Test func storedTypesWidenExactly() {
        let halves: [UInt16] = [0x0000, 0x8000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0xc500, 0x7bff, 0x7c00]
        var out = [Float](repeating: 0, count: halves.count)
        halves.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            StoredType.float16.widen(base, into: &out, count: halves.count)
        }
        #expect(bits(out) == bits([0, -0.0, 0x1p-24, 0x1.ff8p-15, 0x1p-14, 1, -5, 65504, .infinity]))
    }
}
