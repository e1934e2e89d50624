@testable import Kernels
import Testing

@Suite struct OpenBLASPathTests {
    /// OpenBLAS as the oracle: another sum order, the same numbers within rounding.
    @Test(arguments: [(64, 64), (96, 501), (300, 128)])
    func packedProductAgreesWithOpenBLAS(outputs: Int, inputs: Int) throws {
        var random = TestRandom(UInt64(outputs))
        let rows = 13, team = try ThreadTeam(maxThreads: 1)
        let x = random.floats(rows * inputs), w = random.floats(outputs * inputs)
        var expected = [Float](repeating: 0, count: rows * outputs)
        OpenBLASPath.product(try OpenBLASLibrary.shared.get(), x, w, &expected, rows: rows, columns: outputs, inputs: inputs, stride: outputs)
        let matrix = try packed(w, outputs: outputs, inputs: inputs, .float32, team: team)
        for kernels in KernelSet.all {
            let y = try multiply(x, rows: rows, matrix, kernels, team: team, threads: 1)
            let worst = zip(y.joined(), expected).map { abs($0 - $1) }.max() ?? 0
            #expect(worst < 2e-7 * Float(inputs), "\(kernels)")
        }
    }

    /// A shape is served for every number of rows with equal bits, or not at all.
    @Test(arguments: [(64, 96), (600, 200), (128, 896)])
    func aServedShapeIsBatchInvariant(outputs: Int, inputs: Int) throws {
        var random = TestRandom(UInt64(inputs))
        let team = try ThreadTeam(maxThreads: 2), kernels = try #require(KernelSet.all.last)
        let w = random.floats(outputs * inputs), row = random.floats(inputs)
        let matrix = try packed(w, outputs: outputs, inputs: inputs, .float32, team: team, path: .openBLAS)
        let alone = bits(try multiply(row, rows: 1, matrix, kernels, team: team, threads: 1)[0])
        for count in [2, 7, 12, 33, 64] {
            var x = random.floats(count * inputs)
            x.replaceSubrange((count - 1) * inputs..<count * inputs, with: row)
            let y = try multiply(x, rows: count, matrix, kernels, team: team, threads: 2)
            #expect(bits(y[count - 1]) == alone, "\(count) rows, by OpenBLAS: \(matrix.usesOpenBLAS)")
        }
    }

    @Test func pathsAreNamedInTheEnvironment() throws {
        #expect(try Float32Path.select(environment: [:]) == .packed)
        #expect(try Float32Path.select(environment: ["BATON_FLOAT32_GEMM": "openblas"]) == .openBLAS)
        #expect(throws: KernelError.unknownFloat32Path("mkl")) {
            try Float32Path.select(environment: ["BATON_FLOAT32_GEMM": "mkl"])
        }
    }
}
