/// A piece of a model's packed weights: tensors of the checkpoint, one below the other.
enum WeightItem: Sendable, Hashable {
    /// `[rows[i], inputs]` each.
    case matrix(_ names: [String], rows: [Int], inputs: Int)
    /// `[rows, inputs]` each, as a matrix of pairs (`PackedMatrix.Shape.Arrangement.paired`).
    case pair(_ names: [String], rows: Int, inputs: Int)
    /// `[counts[i]]` each; kept as float32.
    case vector(_ names: [String], counts: [Int])

    /// All of a model, in the order in which ``ModelWeights`` takes them.
    static func all(of c: ModelConfiguration) -> [WeightItem] {
        let table = { (name: String) in WeightItem.matrix([name], rows: [c.vocabularySize], inputs: c.hiddenSize) }
        var items = [table("model.embed_tokens.weight")]
        if !c.tiedEmbeddings { items.append(table("lm_head.weight")) }
        items.append(.vector(["model.norm.weight"], counts: [c.hiddenSize]))
        for layer in 0..<c.layerCount { items += Self.layer(layer, of: c) }
        return items
    }

    private static func layer(_ index: Int, of c: ModelConfiguration) -> [WeightItem] {
        let prefix = "model.layers.\(index).", attention = prefix + "self_attn.", mlp = prefix + "mlp."
        let widths = [c.queryWidth, c.kvWidth, c.kvWidth]
        let projections = ["q_proj", "k_proj", "v_proj"].map { attention + $0 }
        var items: [WeightItem] = [
            .vector([prefix + "input_layernorm.weight"], counts: [c.hiddenSize]),
            .matrix(projections.map { $0 + ".weight" }, rows: widths, inputs: c.hiddenSize),
        ]
        if c.qkvBias { items.append(.vector(projections.map { $0 + ".bias" }, counts: widths)) }
        if c.headNorm {
            items += ["q_norm", "k_norm"].map { .vector([attention + $0 + ".weight"], counts: [c.headDim]) }
        }
        items.append(.matrix([attention + "o_proj.weight"], rows: [c.hiddenSize], inputs: c.queryWidth))
        if c.outputBias { items.append(.vector([attention + "o_proj.bias"], counts: [c.hiddenSize])) }
        return items + [
            .vector([prefix + "post_attention_layernorm.weight"], counts: [c.hiddenSize]),
            .pair([mlp + "gate_proj.weight", mlp + "up_proj.weight"], rows: c.intermediateSize, inputs: c.hiddenSize),
            .matrix([mlp + "down_proj.weight"], rows: [c.hiddenSize], inputs: c.intermediateSize),
        ]
    }
}
