@testable import Inference
@testable import Kernels
import Testing

@Suite struct KVReadAheadTests {
    private func batch(rows: Int32) -> TokenBatch {
        var batch = TokenBatch()
        for row in 0..<rows { batch.append(CollectionOfOne(1), at: 20, blockTable: [2 * row + 1, 2 * row, 500]) }
        return batch
    }

    private func fetched(_ part: KVReadAhead.Part, layer: Int, _ readAhead: KVReadAhead, _ kv: KVCache, _ model: Model) -> [Int32]? {
        readAhead.share(of: part, layer: layer, kv: kv, model: model).map { share in
            (0..<7).flatMap { share.share($0, of: 7).blocks }
        }
    }

    /// The four products before an attention fetch every block that it sees, once, in the order of reading.
    @Test func productsFetchEachBlockOnce() throws {
        let engine = try Oracle.engine("qwen2", format: .bfloat16), kv = try engine.cache(blocks: 128)
        var readAhead = KVReadAhead()
        readAhead.update(batch(rows: 30), kv: kv)
        let blocks = [KVReadAhead.Part.output, .gateUp, .down, .qkv].compactMap { fetched($0, layer: 1, readAhead, kv, engine.model) }
        #expect(blocks.count == 4 && blocks.allSatisfy { !$0.isEmpty })
        let expected: [Int32] = (0..<30 as Range<Int32>).flatMap { [2 * $0 + 1, 2 * $0] }
        #expect(Array(blocks.joined()) == expected)
        #expect(fetched(.output, layer: kv.layerCount, readAhead, kv, engine.model) == nil, "there is no next layer")
    }

    @Test(arguments: [1, 24, 65] as [Int32])
    func otherBatchesFetchNothing(rows: Int32) throws {
        let engine = try Oracle.engine("qwen2", format: .bfloat16), kv = try engine.cache(blocks: 256)
        var readAhead = KVReadAhead()
        readAhead.update(batch(rows: 30), kv: kv)
        readAhead.update(batch(rows: rows), kv: kv)
        #expect(fetched(.down, layer: 0, readAhead, kv, engine.model) == nil)
    }
}
