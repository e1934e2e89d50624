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
            let expected = (0..<rows).map { m in
                (0..<shape.outputs).map { n in
                    Reference.dot(rx[m * shape.inputs..<(m + 1) * shape.inputs], rw[n * shape.inputs..<(n + 1) * shape.inputs])
                }
            }
            let matrix = try packed(w, outputs: shape.outputs, inputs: shape.inputs, format, team: team)
            for kernels in KernelSet.all {
                let y = try multiply(x, rows: rows, matrix, kernels, team: team, threads: 2)
                if kernels.family(for: format) == "bf16-dpbf16" {
                    let worst = zip(y.joined(), expected.joined()).map { abs($0 - $1) }.max() ?? 0
                    #expect(worst < 1e-5 * Float(shape.inputs), "\(kernels)")
                } else {
                    #expect(y.map(bits) == expected.map(bits), "\(kernels) \(format)")
                }
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
