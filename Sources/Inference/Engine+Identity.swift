import Generation
import Kernels

extension Engine {
    /// What this engine's bits depend on, with the digest of a canary: 40 fixed tokens in two steps, the logits of the
    /// last four. Two machines whose kernels differ in a bit that matters differ there.
    /// - Throws: `KernelError` if memory is refused.
    public func identity(kvFormat: KVFormat = .auto, threads: Int) throws -> EngineIdentity {
        let configuration = model.configuration, layout = model.kvLayout(blockSize: 16, format: kvFormat)
        let count = min(40, configuration.maxPositions), blocks = Int32((count + 15) / 16)
        let kv = try KVCache(layout: layout, layerCount: configuration.layerCount, blockCount: Int(blocks))
        let tokens = (0..<count).map { TokenID(($0 * 7919 + 13) % configuration.vocabularySize) }
        let table = (0..<blocks).map { $0 }, cut = count * 9 / 10
        var digest = BitsDigest()
        for range in [0..<cut, cut..<count] where !range.isEmpty {
            var batch = TokenBatch()
            batch.append(tokens[range], at: Int32(range.lowerBound), blockTable: table, logits: range.lowerBound == cut ? .all : .none)
            let logits = try forward(batch, kv: kv, threads: threads)
            for row in 0..<logits.count { digest.combine(logits[row]) }
        }
        return EngineIdentity(
            modelHash: model.hash, weightFormat: model.weightFormat.rawValue, kvFormat: layout.format.rawValue,
            kernelFamily: model.kernelFamily, canary: digest.value)
    }
}
