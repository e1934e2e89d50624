/// The `config.json` of well-known models, for random checkpoints of their shape.
public enum ModelShape: String, Sendable, CaseIterable {
    case qwen25Half = "qwen2.5-0.5b"
    case smolLM135M = "smollm-135m"
    case tinyLlama = "tinyllama-1.1b"
    case llama32 = "llama-3.2-1b"

    public var config: String {
        switch self {
        case .qwen25Half:
            Self.config("Qwen2ForCausalLM", "qwen2", vocabulary: 151_936, hidden: 896, intermediate: 4864, layers: 24,
                        heads: 14, kvHeads: 2, positions: 32_768, theta: 1e6, epsilon: "1e-06", tied: true,
                        begin: 151_643, end: 151_643,
                        more: #", "use_sliding_window": false, "sliding_window": 32768, "max_window_layers": 24"#)
        case .smolLM135M:
            Self.config("LlamaForCausalLM", "llama", vocabulary: 49_152, hidden: 576, intermediate: 1536, layers: 30,
                        heads: 9, kvHeads: 3, positions: 2048, theta: 1e4, epsilon: "1e-05", tied: true, begin: 0, end: 0)
        case .tinyLlama:
            Self.config("LlamaForCausalLM", "llama", vocabulary: 32_000, hidden: 2048, intermediate: 5632, layers: 22,
                        heads: 32, kvHeads: 4, positions: 2048, theta: 1e4, epsilon: "1e-05", tied: false, begin: 1, end: 2)
        case .llama32:
            Self.config("LlamaForCausalLM", "llama", vocabulary: 128_256, hidden: 2048, intermediate: 8192, layers: 16,
                        heads: 32, kvHeads: 8, positions: 131_072, theta: 5e5, epsilon: "1e-05", tied: true,
                        begin: 128_000, end: 128_001,
                        more: #", "head_dim": 64, "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "#
                            + #""low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}"#)
        }
    }

    private static func config(
        _ architecture: String, _ type: String, vocabulary: Int, hidden: Int, intermediate: Int, layers: Int, heads: Int,
        kvHeads: Int, positions: Int, theta: Double, epsilon: String, tied: Bool, begin: Int, end: Int, more: String = ""
    ) -> String {
        """
        {"architectures": ["\(architecture)"], "model_type": "\(type)", "hidden_act": "silu", "torch_dtype": "bfloat16",
         "vocab_size": \(vocabulary), "hidden_size": \(hidden), "intermediate_size": \(intermediate),
         "num_hidden_layers": \(layers), "num_attention_heads": \(heads), "num_key_value_heads": \(kvHeads),
         "max_position_embeddings": \(positions), "rope_theta": \(theta), "rms_norm_eps": \(epsilon),
         "tie_word_embeddings": \(tied), "bos_token_id": \(begin), "eos_token_id": \(end)\(more)}

        """
    }
}
