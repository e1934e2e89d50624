import Generation
import Kernels

/// The keys of a GGUF file that say what ``GGUFConfiguration`` reads.
enum GGUFKeys {
    static func architecture(of configuration: ModelConfiguration) -> String {
        switch configuration.architecture {
        case .llama, .mistral: "llama"
        case .qwen2: "qwen2"
        case .qwen3: "qwen3"
        }
    }

    /// - Parameter endToken: the one that ends a text, if the tokenizer says so; the configuration's others come after it.
    static func entries(of c: ModelConfiguration, type: StoredType, endToken: TokenID? = nil) throws(ModelError) -> [GGUFEntry] {
        let architecture = architecture(of: c)
        func number(_ key: String, _ value: Int) -> GGUFEntry { GGUFEntry("\(architecture).\(key)", .uint32(UInt32(value))) }
        var entries = [
            GGUFEntry("general.architecture", .string(architecture)), GGUFEntry("general.type", .string("model")),
            GGUFEntry("general.file_type", .uint32(fileType(type))), GGUFEntry("general.quantization_version", .uint32(2)),
            number("block_count", c.layerCount), number("context_length", c.maxPositions), number("embedding_length", c.hiddenSize),
            number("feed_forward_length", c.intermediateSize), number("attention.head_count", c.headCount),
            number("attention.head_count_kv", c.kvHeadCount), number("attention.key_length", c.headDim),
            number("attention.value_length", c.headDim), number("rope.dimension_count", c.headDim), number("vocab_size", c.vocabularySize),
            GGUFEntry("\(architecture).attention.layer_norm_rms_epsilon", .float32(c.rmsNormEpsilon)),
            GGUFEntry("\(architecture).rope.freq_base", .float32(Float(c.rope.theta))),
        ]
        if case .linear(let factor) = c.rope.scaling {
            entries.append(GGUFEntry("\(architecture).rope.scaling.type", .string("linear")))
            entries.append(GGUFEntry("\(architecture).rope.scaling.factor", .float32(Float(factor))))
        }
        let windows = Set(c.windows)
        if windows != [nil] {
            // Only the window of all layers has a key.
            guard c.architecture == .mistral, windows.count == 1, let window = c.windows[0] else {
                throw ModelError("GGUF", "sliding_window", value: c.architecture.rawValue, .unsupported)
            }
            entries.append(number("attention.sliding_window", Int(window)))
        }
        return try entries + ends(of: c, first: endToken)
    }

    /// The end of a turn is written even if it is the end of the text, so that no reader looks for one by its name.
    private static func ends(of c: ModelConfiguration, first: TokenID?) throws(ModelError) -> [GGUFEntry] {
        var entries: [GGUFEntry] = []
        if let begin = c.beginToken { entries.append(GGUFEntry("tokenizer.ggml.bos_token_id", .uint32(UInt32(begin)))) }
        var ends = (first.map { [$0] } ?? []) + c.endTokens.filter { $0 != first }
        if ends.count == 1 { ends += ends }
        let names = ["eos_token_id", "eot_token_id", "eom_token_id"]
        guard ends.count <= names.count else {
            throw ModelError("GGUF", "eos_token_id", value: "\(ends.count) tokens", .unsupported)
        }
        for (name, token) in zip(names, ends) { entries.append(GGUFEntry("tokenizer.ggml.\(name)", .uint32(UInt32(token)))) }
        return entries
    }

    /// `general.file_type`, which is for people.
    private static func fileType(_ type: StoredType) -> UInt32 {
        switch type {
        case .float16: 1
        case .q8_0: 7
        case .bfloat16: 32
        default: 0
        }
    }

    /// What llama.cpp divides the frequencies by, `[headDim / 2]`, where that is more than one factor.
    static func ropeFactors(of c: ModelConfiguration) -> [Float]? {
        switch c.rope.scaling {
        case .none, .linear: nil
        case .factors(let factors): factors
        case .llama3: c.rope.factors(headDim: c.headDim)
        }
    }
}
