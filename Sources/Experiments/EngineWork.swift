import Inference
import Kernels

/// What a forward pass has to do at least: operations and bytes that no kernel can save.
struct EngineWork {
    /// Two for each multiply-add of a matrix product.
    var productOperations: Double
    /// Two for each multiply-add of attention: visible keys only.
    var attentionOperations: Double
    /// Weights and KV that are read once.
    var bytes: Double

    /// A prompt of `tokens` tokens; logits of the last.
    static func prefill(tokens: Int, model: Model, kvFormat: KVFormat) -> EngineWork {
        let c = model.configuration
        return EngineWork(
            productOperations: 2 * (Double(tokens * c.layerWeights) + Double(c.headWeights)),
            attentionOperations: (0..<tokens).reduce(0) { $0 + c.attentionOperations(context: $1 + 1) },
            bytes: Double(model.streamedByteCount))
    }

    /// One step of `batch` rows that each see `context` keys.
    static func decode(batch: Int, context: Int, model: Model, kvFormat: KVFormat) -> EngineWork {
        let c = model.configuration
        let kvBytes = model.kvLayout(blockSize: 16, format: kvFormat).byteCount / 16 * c.layerCount
        return EngineWork(
            productOperations: 2 * Double(batch * (c.layerWeights + c.headWeights)),
            attentionOperations: Double(batch) * c.attentionOperations(context: context),
            bytes: Double(model.streamedByteCount) + Double(batch * context * kvBytes))
    }

    /// Seconds on a machine of these limits: of its memory, or of its arithmetic units, whichever takes longer.
    func seconds(bandwidth: Double, productPeak: Double, attentionPeak: Double) -> Double {
        max(bytes / bandwidth, productOperations / productPeak + attentionOperations / attentionPeak)
    }
}

extension ModelConfiguration {
    fileprivate var layerWeights: Int {
        layerCount * (hiddenSize * (2 * queryWidth + 2 * kvWidth) + 3 * hiddenSize * intermediateSize)
    }
    fileprivate var headWeights: Int { vocabularySize * hiddenSize }

    /// Scores and weighted values of one token that sees `context` keys, or its window's.
    fileprivate func attentionOperations(context: Int) -> Double {
        windows.reduce(0) { $0 + 4 * Double(min(context, $1.map(Int.init) ?? context) * queryWidth) }
    }
}
