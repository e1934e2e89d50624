@testable import Kernels
import Testing

@Suite struct StoredTypeTests {
    /// Stored bytes of random values; of the types that nobody writes, random bits with scales that are small and finite.
    private static func stored(_ type: StoredType, rows: Int, columns: Int, _ random: inout TestRandom) -> [UInt8] {
        if type.isWritable { return type.narrowed(random.floats(rows * columns)) }
        var bytes = (0..<type.byteCount(elements: rows * columns)).map { _ in UInt8(truncatingIfNeeded: random.next() >> 20) }
        let scaleOffsets: [Int] = type == .q6_K ? [208] : [.q4_0, .q5_0].contains(type) ? [0] : [0, 2]
        for block in stride(from: 0, to: bytes.count, by: type.bytesPerBlock) {
            for offset in scaleOffsets { bytes[block + offset + 1] = 0x20 | bytes[block + offset + 1] & 3 }
        }
        return bytes
    }

    /// Packing reads a row in strips; the rows come out as the type's own numbers, rounded once, in the order asked for.
    @Test(arguments: StoredType.allCases)
    func packedRowsAreTheStoredNumbers(type: StoredType) throws {
        var random = TestRandom(UInt64(type.bytesPerBlock))
        let rows = 72, columns = 768, team = try ThreadTeam(maxThreads: 2), bytes = Self.stored(type, rows: rows, columns: columns, &random)
        let orders: [RowOrder] = [.natural, .interleavedHalves(headDim: 24)]
        for (format, order) in [NumberFormat.float32, .bfloat16].flatMap({ format in orders.map { (format, $0) } }) {
            let matrix = try bytes.withUnsafeBytes { buffer in
                let base = try #require(buffer.baseAddress)
                return try PackedMatrix(
                    [.init(base: base, rows: rows, type: type, order: order)], inputs: columns, format: format, team: team, threads: 2)
            }
            for row in 0..<rows {
                var packed = [Float](repeating: 0, count: columns), expected = packed
                matrix.copyRow(row, to: &packed)
                bytes.withUnsafeBytes { buffer in
                    guard let base = buffer.baseAddress else { return }
                    type.widen(base + order.storedRow(row) * type.byteCount(elements: columns), into: &expected, count: columns)
                }
                #expect(bits(packed) == bits(format == .float32 ? expected : expected.map(Reference.bfloat16)), "\(format) row \(row)")
            }
        }
    }

    @Test func eightBitBlocksKeepTheLargestMagnitude() throws {
        var random = TestRandom(3)
        var values = random.floats(64).map { $0 / 3 }
        values[7] = -0.5
        for i in 32..<64 { values[i] = 0 }
        let bytes = StoredType.q8_0.narrowed(values)
        #expect(bytes.count == 68 && Int8(bitPattern: bytes[2 + 7]) == -127 && bytes[34...].allSatisfy { $0 == 0 })
        var read = [Float](repeating: 0, count: 64)
        StoredType.q8_0.widen(bytes, into: &read, count: 64)
        #expect(zip(read, values).allSatisfy { abs($0 - $1) <= 0.5 / 127 * 0.51 })
    }

    @Test func halvesRoundToNearestEven() {
        let values: [Float] = [0, -0.0, 1, 0x1.002p0, 0x1.006p0, 65519.996, 65520, -.infinity, 0x1p-24, 0x1p-25, 0x1.8p-24, 0x1p-26, 0x1.ffep-15]
        let expected: [UInt16] = [0, 0x8000, 0x3c00, 0x3c00, 0x3c02, 0x7bff, 0x7c00, 0xfc00, 1, 0, 2, 0, 0x0400]
        let bytes = StoredType.float16.narrowed(values)
        #expect(bytes.count == 26)
        #expect(stride(from: 0, to: 26, by: 2).map { UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8 } == expected)
    }
}
