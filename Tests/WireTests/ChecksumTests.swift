import CChecksum
import Testing

@Suite struct ChecksumTests {
    @Test func knownVectors() {
        #expect(checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(checksum([]) == 0)
        #expect(checksum(Array(repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(checksum(Array(repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(checksum(Array(0..<32)) == 0x46DD_794E)
    }

    @Test func everyImplementationAgreesAtEveryOffsetAndSplit() {
        var random = SeededGenerator(seed: 1)
        let bytes = (0..<5000).map { _ in UInt8.random(in: 0...255, using: &random) }
        for _ in 0..<2000 {
            let start = Int.random(in: 0..<64, using: &random)
            let count = Int.random(in: 0...(Bool.random(using: &random) ? 40 : 4000), using: &random)
            let split = Int.random(in: 0...count, using: &random)
            let before = UInt32.random(in: 0 ... .max, using: &random)
            bytes.withUnsafeBytes { all in
                let part = all[start..<start + count]
                let whole = UnsafeRawBufferPointer(rebasing: part)
                let head = UnsafeRawBufferPointer(rebasing: whole[..<split])
                let tail = UnsafeRawBufferPointer(rebasing: whole[split...])
                let scalar = bc_crc32c_scalar(before, whole.baseAddress, count)
                #expect(bc_crc32c(before, whole.baseAddress, count) == scalar)
                let first = bc_crc32c(before, head.baseAddress, head.count)
                #expect(bc_crc32c(first, tail.baseAddress, tail.count) == scalar)
                #expect(bc_crc32c_scalar(first, tail.baseAddress, tail.count) == scalar)
            }
        }
    }

    @Test func theCopyCopiesNothingBeyondItsBoundsAndAgrees() {
        var random = SeededGenerator(seed: 2)
        for count in Array(0...40) + [255, 256, 1000, 4097] {
            let source = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            let margin = 9
            var target = [UInt8](repeating: 0xA5, count: count + 2 * margin)
            let crc = source.withUnsafeBytes { source in
                target.withUnsafeMutableBytes { target in
                    bc_crc32c_copy(7, target.baseAddress! + margin, source.baseAddress ?? UnsafeRawPointer(target.baseAddress!), count)
                }
            }
            #expect(Array(target[margin..<margin + count]) == source)
            #expect(target[..<margin].allSatisfy { $0 == 0xA5 })
            #expect(target[(margin + count)...].allSatisfy { $0 == 0xA5 })
            #expect(crc == source.withUnsafeBytes { bc_crc32c_scalar(7, $0.baseAddress, count) })
        }
    }

    @Test func everyFlippedBitShows() {
        var bytes = (0..<64).map(UInt8.init)
        let intact = checksum(bytes)
        for bit in 0..<bytes.count * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8)
            #expect(checksum(bytes) != intact)
            bytes[bit / 8] ^= 1 << (bit % 8)
        }
    }

    private func checksum(_ bytes: [UInt8]) -> UInt32 {
        bytes.withUnsafeBytes { bc_crc32c(0, $0.baseAddress, $0.count) }
    }
}
