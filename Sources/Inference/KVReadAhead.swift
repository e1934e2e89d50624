import Kernels

/// Which KV the products of a step fetch for the attention that follows them.
///
/// A product of some dozen rows is bound by arithmetic, and attention over their KV by memory: one after the other, each
/// leaves idle what the other waits for. So the products between two attentions fetch what the second one reads.
struct KVReadAhead: Sendable {
    /// In the order in which attention reads them.
    private var blocks: [Int32] = []

    /// Rows from which products leave memory idle, and up to which attention is worth it (a prompt's rows share their KV).
    private static let rows = 25...64
    /// Bytes of a layer above which nothing is fetched: they have to last in the cache until attention comes, and a part of
    /// them was measured to bring nothing.
    private static let mostBytes = 8 << 20

    mutating func update(_ batch: TokenBatch, prefixes: SharedPrefixes, kv: KVCache) {
        blocks.removeAll(keepingCapacity: true)
        guard Self.rows.contains(batch.rowCount) else { return }
        let most = Self.mostBytes / kv.bytesPerBlockPerLayer
        var counts = [Int](repeating: 0, count: batch.sequenceCount), last: Int32 = -1
        for row in 0..<batch.rowCount where batch.sequences[row] != last {
            last = batch.sequences[row]
            counts[Int(last)] = Int(batch.positions[row]) / kv.blockSize + 1
        }
        // Blocks that two sequences share are fetched once.
        for (sequence, common) in zip(prefixes.order, prefixes.common) {
            let known = common * (PagedAttention.partition / kv.blockSize)
            blocks.append(contentsOf: batch.blockTables[sequence].prefix(counts[sequence]).dropFirst(known))
            if blocks.count > most { return blocks.removeAll(keepingCapacity: true) }
        }
        // Blocks of padding lie behind the pool; there is nothing to read.
        blocks.removeAll { $0 == kv.nullBlock }
    }

    /// What one of the products before the attention of `layer` fetches.
    func share(of part: Part, layer: Int, kv: KVCache, model: Model) -> ReadAhead? {
        if blocks.isEmpty || layer >= kv.layerCount { return nil }
        // Each as much as it has work.
        let c = model.configuration, gateUp = 2 * c.hiddenSize * c.intermediateSize
        let work = [c.queryWidth * c.hiddenSize, gateUp, gateUp / 2, c.hiddenSize * (c.queryWidth + 2 * c.kvWidth)]
        let before = work.prefix(part.rawValue).reduce(0, +), total = work.reduce(0, +)
        return ReadAhead(base: kv.address(layer: layer, block: 0), blockByteCount: kv.bytesPerBlockPerLayer, blocks: blocks[...])
            .part(from: before, to: before + work[part.rawValue], of: total)
    }

    /// The products between the attention of one layer and that of the next.
    enum Part: Int {
        case output, gateUp, down, qkv
    }
}
