@testable import Inference
@testable import Kernels
import Testing

@Suite struct KVReadAheadTests {
    private func batch(rows: Int32) -> TokenBatch {
        var batch = TokenBatch()
        for row in 0..<rows { batch.append(CollectionOfOne(1), at: 20, blockTable: [2 * row + 1, 2 * row, 500]) }
        return batch
    }

    private func update(_ readAhead: inout KVReadAhead, _ batch: TokenBatch, _ kv: KVCache) {
        var prefixes = SharedPrefixes()
        prefixes.update(batch, blockSize: kv.blockSize)
        readAhead.update(batch, prefixes: prefixes, kv: kv)
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
        update(&readAhead, batch(rows: 30), kv)
        let blocks = [KVReadAhead.Part.output, .gateUp, .down, .qkv].compactMap { fetched($0, layer: 1, readAhead, kv, engine.model) }
        #expect(blocks.count == 4 && blocks.allSatisfy { !$0.isEmpty })
        let expected: [Int32] = (0..<30 as Range<Int32>).flatMap { [2 * $0 + 1, 2 * $0] }
        #expect(Array(blocks.joined()) == expected)
        #expect(fetched(.output, layer: kv.layerCount, readAhead, kv, engine.model) == nil, "there is no next layer")
    }

    /// Blocks of whole partitions that sequences share are fetched once.
    @Test func sharedBlocksAreFetchedOnce() throws {
        let engine = try Oracle.engine("qwen2", format: .bfloat16), kv = try engine.cache(blocks: 128)
        var batch = TokenBatch(), readAhead = KVReadAhead()
        for row in 0..<30 as Range<Int32> { batch.append(CollectionOfOne(1), at: 300, blockTable: (0..<18).map { $0 } + [50 + row]) }
        update(&readAhead, batch, kv)
        let blocks = [KVReadAhead.Part.output, .gateUp, .down, .qkv].compactMap { fetched($0, layer: 0, readAhead, kv, engine.model) }
        let perRow = (0..<30 as Range<Int32>).map { Array(0..<18) + [50 + $0] }
        #expect(Array(blocks.joined()) == perRow[0] + perRow.dropFirst().flatMap { $0.dropFirst(16) })
    }

    @Test(arguments: [1, 24, 65] as [Int32])
    func otherBatchesFetchNothing(rows: Int32) throws {
        let engine = try Oracle.engine("qwen2", format: .bfloat16), kv = try engine.cache(blocks: 256)
        var readAhead = KVReadAhead()
        update(&readAhead, batch(rows: 30), kv)
        update(&readAhead, batch(rows: rows), kv)
        #expect(fetched(.down, layer: 0, readAhead, kv, engine.model) == nil)
    }
}
