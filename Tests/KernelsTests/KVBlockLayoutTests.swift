@testable import Kernels
import Testing

@Suite struct KVBlockLayoutTests {
    @Test func blocksAreWholeCacheLines() {
        for format in NumberFormat.allCases {
            for blockSize in KVBlockLayout.blockSizes {
                for headDim in stride(from: 2, through: 256, by: 2) {
                    let layout = KVBlockLayout(kvHeads: 1, headDim: headDim, blockSize: blockSize, format: format)
                    #expect(layout.byteCount % 64 == 0, "\(layout)")
                }
            }
        }
        let int8 = KVBlockLayout(kvHeads: 3, headDim: 64, blockSize: 16, format: .int8)
        #expect(int8.byteCount == 2 * 3 * 16 * (64 + 4))
    }

    /// A block that fills up keeps what is in it, and every instruction set leaves the same bytes.
    @Test(arguments: NumberFormat.allCases)
    func storingTouchesOneSlotOnly(format: NumberFormat) throws {
        let layout = KVBlockLayout(kvHeads: 2, headDim: 34, blockSize: 32, format: format)
        var random = TestRandom(8)
        let rows = (0..<32).map { _ in random.floats(68).map { $0 * 40 } }
        var images: [[UInt8]] = []
        for kernels in KernelSet.all {
            let memory = try Memory(byteCount: layout.byteCount)
            func image() -> [UInt8] { Array(UnsafeRawBufferPointer(start: memory.base, count: layout.byteCount)) }
            for (slot, row) in rows.enumerated() {
                let before = image()
                layout.store(k: row, v: row.reversed(), slot: slot, of: memory.base, kernels: kernels)
                let changed = zip(before, image()).reduce(0) { $0 + ($1.0 == $1.1 ? 0 : 1) }
                #expect(changed > 0 && changed <= 2 * 2 * (34 * format.byteCount + layout.scaleByteCount))
            }
            images.append(image())
        }
        #expect(Set(images).count == 1)
    }

    /// Neighbours in a pair may be written by two threads: each writes its own halves and nothing else.
    @Test func pairsLieWhereTheLayoutSays() throws {
        guard let kernels = KernelSet.all.first(where: \.multipliesPairs) else { return }
        let dim = 32, heads = 2, layout = KVBlockLayout(kvHeads: heads, headDim: dim, blockSize: 32, format: .bfloat16, isPaired: true)
        #expect(layout.byteCount == 2 * heads * 32 * dim * 2)
        var random = TestRandom(9)
        let memory = try Memory(byteCount: layout.byteCount)
        func image() -> [UInt16] {
            Array(UnsafeRawBufferPointer(start: memory.base, count: layout.byteCount).bindMemory(to: UInt16.self))
        }
        var expected = image()
        for slot in [5, 4, 31, 16, 17, 0] {
            let k = random.floats(heads * dim), v = random.floats(heads * dim)
            layout.store(k: k, v: v, slot: slot, of: memory.base, kernels: kernels)
            for head in 0..<heads {
                for d in 0..<dim {
                    let key = ((head * 2 + slot / 16) * dim / 2 + d / 2) * 32 + slot % 16 * 2 + d % 2
                    let value = heads * 32 * dim + ((head * 16 + slot / 2) * dim + d) * 2 + slot % 2
                    expected[key] = UInt16(Reference.bfloat16(k[head * dim + d]).bitPattern >> 16)
                    expected[value] = UInt16(Reference.bfloat16(v[head * dim + d]).bitPattern >> 16)
                }
            }
            #expect(image() == expected, "slot \(slot)")
        }
    }

    /// Zeros, sizes that have no scale, and what is no number: defined, and the same everywhere.
    @Test(arguments: [
        [0, -0.0], [1e-40, -1e-38], [.nan, 1], [1, .infinity], [-.infinity, 0], [.greatestFiniteMagnitude, -1], [0x1p-119, 0],
        [127, 0.5], [127, 1.5], [-127, 63.5],
    ] as [[Float]])
    func int8IsDefinedForEveryNumber(pair: [Float]) throws {
        let layout = KVBlockLayout(kvHeads: 1, headDim: 2, blockSize: 16, format: .int8)
        let (q, scale) = Reference.int8(pair)
        for kernels in KernelSet.all {
            let memory = try Memory(byteCount: layout.byteCount)
            layout.store(k: pair, v: pair, slot: 5, of: memory.base, kernels: kernels)
            let bytes = UnsafeRawBufferPointer(start: memory.base, count: layout.byteCount)
            let key = [5, 21].map { Float(Int8(bitPattern: bytes[$0])) }, value = [42, 43].map { Float(Int8(bitPattern: bytes[$0])) }
            #expect(key == q && value == q, "\(kernels)")
            let scales = [5, 21].map { bytes.load(fromByteOffset: 64 + 4 * $0, as: Float.self) }
            #expect(scales.allSatisfy { $0 == scale || ($0.isNaN && scale.isNaN) }, "\(kernels): \(scales)")
        }
    }
}
