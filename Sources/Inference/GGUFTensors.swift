import Kernels

/// llama.cpp's names of tensors, and those of Hugging Face that the loader asks for.
enum GGUFTensors {
    static let ropeFactors = "rope_freqs.weight"

    private static let outer = [
        "token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
        "output.weight": "lm_head.weight", ropeFactors: ropeFactors,
    ]
    /// Of a layer, without `.weight` and `.bias`.
    private static let inner = [
        "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
        "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "attn_output": "self_attn.o_proj",
        "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    ]
    private static let outerNames = Dictionary(uniqueKeysWithValues: outer.map { ($1, $0) })
    private static let innerNames = Dictionary(uniqueKeysWithValues: inner.map { ($1, $0) })
    /// The only biases that an architecture here has.
    private static let biased: Set<String> = ["attn_q", "attn_k", "attn_v", "attn_output"]

    /// The Hugging Face name of a tensor, or `nil` if no architecture here has such a one.
    static func huggingFaceName(_ name: String) -> String? {
        if let known = outer[name] { return known }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "blk", let layer = Int(parts[1]), String(layer) == parts[1], layer >= 0,
            let module = inner[String(parts[2])],
            parts[3] == "weight" || (parts[3] == "bias" && biased.contains(String(parts[2])))
        else { return nil }
        return "model.layers.\(layer).\(module).\(parts[3])"
    }

    /// The name that llama.cpp gives to a tensor.
    static func ggufName(_ name: String) -> String? {
        if let known = outerNames[name] { return known }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count >= 5, parts[0] == "model", parts[1] == "layers", let kind = parts.last,
            let module = innerNames[parts[3..<parts.count - 1].joined(separator: ".")]
        else { return nil }
        return "blk.\(parts[2]).\(module).\(kind)"
    }

    /// How the rows of a tensor lie in a file of an architecture.
    static func rowOrder(of name: String, architecture: String, headDim: Int) -> RowOrder {
        let isRotated = [".q_proj.", ".k_proj."].contains { name.contains($0) }
        return architecture == "llama" && isRotated ? .interleavedHalves(headDim: headDim) : .natural
    }

    /// All tensors of a file under their Hugging Face names.
    /// - Throws: ``ModelError`` naming a tensor that the architecture does not have: to leave it out would be another model.
    static func renamed(_ file: GGUFFile) throws(ModelError) -> [StoredTensor] {
        let configuration = try ModelConfiguration(file), architecture = try GGUFConfiguration(file).architecture
        let known = Set(TensorList.entries(of: configuration).map(\.name) + [ropeFactors])
        return try file.tensors.map { tensor throws(ModelError) in
            guard let name = huggingFaceName(tensor.name), known.contains(name) else {
                throw ModelError(file.path, tensor.name, value: "tensor", .unsupported)
            }
            var order = rowOrder(of: name, architecture: architecture, headDim: configuration.headDim)
            // A shape that is no whole number of heads is refused by the loader, in the file's own order.
            if (tensor.shape.first ?? 0) % configuration.headDim != 0 { order = .natural }
            return StoredTensor(name: name, type: tensor.type, shape: tensor.shape, range: tensor.range, rowOrder: order)
        }
    }
}
