import Generation
@testable import Inference
import Kernels
import Testing

/// Rows of padding are computed beside others and harm nobody.
@Suite struct PaddingTests {
    private func bytes(of kv: KVCache) -> [[UInt8]] {
        (0..<kv.layerCount).flatMap { layer in
            (0...kv.nullBlock).map { block in
                let address = kv.address(layer: layer, block: 0) + Int(block) * kv.bytesPerBlockPerLayer
                return Array(UnsafeRawBufferPointer(start: address, count: kv.bytesPerBlockPerLayer))
            }
        }
    }

    @Test(arguments: ["llama2", "mistral", "qwen3"], [KVFormat.auto, .int8])
    func paddingChangesNoBitOfLogitsOrKV(name: String, format: KVFormat) throws {
        let engine = try Oracle.engine(name, format: .bfloat16)
        let prompt = (0..<37).map { TokenID($0 * 7 % engine.model.configuration.vocabularySize) }
        func run(padding: [(count: Int, start: Int32)]) throws -> (logits: [UInt32], kv: [[UInt8]]) {
            let kv = try engine.cache(blocks: 6, format: format)
            var logits: [UInt32] = []
            for (start, end) in [(0, 20), (20, 36), (36, 37)] {
                var batch = TokenBatch()
                if let first = padding.first { batch.appendPadding(count: first.count, at: first.start, in: kv) }
                batch.append(prompt[start..<end], at: Int32(start), blockTable: [4, 1, 3])
                for rows in padding.dropFirst() { batch.appendPadding(count: rows.count, at: rows.start, in: kv) }
                logits = try engine.forward(batch, kv: kv, threads: 2).copy(0).map(\.bitPattern)
            }
            return (logits, bytes(of: kv))
        }
        let alone = try run(padding: [])
        let padded = try run(padding: [(19, 0), (1, 40), (30, 7)])
        #expect(alone.logits == padded.logits)
        #expect(alone.kv == padded.kv)
    }

    @Test func nobodyElseMayNameTheNullBlock() throws {
        let engine = try Oracle.engine("llama2", format: .float32)
        let kv = try engine.cache(blocks: 2)
        var batch = TokenBatch()
        batch.append([1], at: 0, blockTable: [kv.nullBlock])
        #expect(throws: ForwardError.block(kv.nullBlock, sequence: 0)) { try engine.forward(batch, kv: kv, threads: 1) }
    }

    @Test func paddingBeyondTheModelIsRefused() throws {
        let engine = try Oracle.engine("llama2", format: .float32)
        let kv = try engine.cache(blocks: 2)
        let limit = Int32(engine.model.configuration.maxPositions)
        var batch = TokenBatch()
        batch.appendPadding(count: 2, at: limit - 1, in: kv)
        #expect(throws: ForwardError.position(limit, row: 1)) { try engine.forward(batch, kv: kv, threads: 1) }
    }
}
