import Foundation
import Inference
import Kernels
import Testing

@Suite struct KVCacheTests {
    /// Bytes of this process that lie in memory.
    private func residentBytes() throws -> Int {
        let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
        return try #require(fields.count > 1 ? Int(fields[1]) : nil) * 4096
    }

    @Test func blocksGiveTheirMemoryBackAndTheirNeighboursKeepTheirs() throws {
        // 2 layers of 64 blocks of 256 KiB.
        let layout = KVBlockLayout(kvHeads: 8, headDim: 64, blockSize: 64, format: .float32)
        let kv = try KVCache(layout: layout, layerCount: 2, blockCount: 64)
        for layer in 0..<2 {
            for block in 0..<Int32(64) { kv.mutableBytes(layer: layer, block: block).initializeMemory(as: UInt8.self, repeating: 7) }
        }
        let before = try residentBytes()
        kv.releaseMemory(of: Array(8..<40) + [50])
        let given = 32 * 2 * layout.byteCount
        // Other tests run beside this one.
        #expect(before - (try residentBytes()) > given / 2)
        for layer in 0..<2 {
            #expect(kv.bytes(layer: layer, block: 50).allSatisfy { $0 == 0 } && kv.bytes(layer: layer, block: 20).allSatisfy { $0 == 0 })
            for block in [Int32(7), 40, 49, 51] { #expect(kv.bytes(layer: layer, block: block).allSatisfy { $0 == 7 }) }
        }
    }
}
