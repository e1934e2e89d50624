/// Names and shapes of all tensors of an architecture, in file order.
enum TensorList {
    struct Entry: Sendable, Hashable {
        var name: String
        var shape: [Int]
        var isNorm: Bool { name.hasSuffix("norm.weight") }
        var count: Int { shape.reduce(1, *) }
    }

    static func entries(of c: ModelConfiguration) -> [Entry] {
        var entries = [Entry(name: "model.embed_tokens.weight", shape: [c.vocabularySize, c.hiddenSize])]
        for layer in 0..<c.layerCount { entries += Self.layer(layer, of: c) }
        entries.append(Entry(name: "model.norm.weight", shape: [c.hiddenSize]))
        if !c.tiedEmbeddings { entries.append(Entry(name: "lm_head.weight", shape: [c.vocabularySize, c.hiddenSize])) }
        return entries
    }

    private static func layer(_ index: Int, of c: ModelConfiguration) -> [Entry] {
        let prefix = "model.layers.\(index)."
        var entries = [Entry(name: prefix + "input_layernorm.weight", shape: [c.hiddenSize])]
        for (name, width) in [("q", c.queryWidth), ("k", c.kvWidth), ("v", c.kvWidth)] {
            entries.append(Entry(name: prefix + "self_attn.\(name)_proj.weight", shape: [width, c.hiddenSize]))
            if c.qkvBias { entries.append(Entry(name: prefix + "self_attn.\(name)_proj.bias", shape: [width])) }
        }
        if c.headNorm {
            for name in ["q_norm", "k_norm"] { entries.append(Entry(name: prefix + "self_attn.\(name).weight", shape: [c.headDim])) }
        }
        entries.append(Entry(name: prefix + "self_attn.o_proj.weight", shape: [c.hiddenSize, c.queryWidth]))
        if c.outputBias { entries.append(Entry(name: prefix + "self_attn.o_proj.bias", shape: [c.hiddenSize])) }
        entries.append(Entry(name: prefix + "post_attention_layernorm.weight", shape: [c.hiddenSize]))
        for name in ["gate_proj", "up_proj"] {
            entries.append(Entry(name: prefix + "mlp.\(name).weight", shape: [c.intermediateSize, c.hiddenSize]))
        }
        entries.append(Entry(name: prefix + "mlp.down_proj.weight", shape: [c.hiddenSize, c.intermediateSize]))
        return entries
    }
}
