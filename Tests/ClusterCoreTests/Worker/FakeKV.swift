import ClusterCore
import Generation

/// KV memory whose slots hold a hash chain of the tokens, so that a wrong, stale or missing block shows as a wrong
/// token.
struct FakeKV {
    let geometry: KVGeometry
    /// `[layers, blocks, blockSize]`
    private var slots: [UInt64]
    private let blockCount: Int

    init(geometry: KVGeometry, blockCount: Int) {
        self.geometry = geometry
        self.blockCount = blockCount
        slots = Array(repeating: 0xdead, count: geometry.layerCount * blockCount * geometry.blockSize)
    }

    mutating func write(_ token: TokenID, layer: Int, position: Int, _ table: [BlockID]) {
        let before = position == 0 ? 1 : slots[index(layer, table, position - 1)]
        slots[index(layer, table, position)] = Self.mix(before, UInt64(token) << 8 | UInt64(layer))
    }

    /// The next token after reading all positions of all layers.
    func sample(length: Int, _ table: [BlockID], _ sampling: SamplingContext) -> TokenID {
        var hash = sampling.parameters.seed &+ UInt64(sampling.index) &+ UInt64(sampling.parameters.choice) << 32
        for layer in 0..<geometry.layerCount {
            for position in 0..<length { hash = Self.mix(hash, slots[index(layer, table, position)]) }
        }
        return TokenID(hash % 50_000)
    }

    func payload(_ layer: Int, _ block: BlockID) -> [UInt64] { Array(slots[range(layer, block)]) }

    mutating func store(_ payload: [UInt64], _ layer: Int, _ block: BlockID) {
        slots.replaceSubrange(range(layer, block), with: payload)
    }

    /// What a query answers when nothing else happens: `count` tokens.
    static func answer(
        to prompt: [TokenID], seed: UInt64, choice: UInt32 = 0, count: Int, geometry: KVGeometry
    ) -> [TokenID] {
        let blocks = geometry.blockCount(forTokens: prompt.count + count)
        var kv = FakeKV(geometry: geometry, blockCount: blocks)
        let table = (0..<UInt32(blocks)).map { BlockID($0) }
        var answer: [TokenID] = []
        for (position, token) in prompt.enumerated() { kv.writeAllLayers(token, position: position, table) }
        while answer.count < count {
            let length = prompt.count + answer.count
            let sampling = SamplingContext(
                parameters: SamplingParameters(seed: seed, choice: choice), index: Int32(answer.count), history: nil, promptCount: 0)
            answer.append(kv.sample(length: length, table, sampling))
            kv.writeAllLayers(answer[answer.count - 1], position: length, table)
        }
        return answer
    }

    mutating func writeAllLayers(_ token: TokenID, position: Int, _ table: [BlockID]) {
        for layer in 0..<geometry.layerCount { write(token, layer: layer, position: position, table) }
    }

    private func index(_ layer: Int, _ table: [BlockID], _ position: Int) -> Int {
        range(layer, table[position / geometry.blockSize]).lowerBound + position % geometry.blockSize
    }

    private func range(_ layer: Int, _ block: BlockID) -> Range<Int> {
        let start = (layer * blockCount + Int(block.rawValue)) * geometry.blockSize
        return start..<start + geometry.blockSize
    }

    private static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
        var z = (a ^ b) &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
