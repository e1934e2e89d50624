import Foundation
import Generation
import JSONReader
import Kernels

/// The shape of a model, from a checkpoint's `config.json` (and `generation_config.json` for the end tokens), in the older
/// and the current layout of transformers.
public struct ModelConfiguration: Sendable, Hashable {
    public enum Architecture: String, Sendable, Hashable, CaseIterable {
        case llama = "LlamaForCausalLM"
        case mistral = "MistralForCausalLM"
        case qwen2 = "Qwen2ForCausalLM"
        case qwen3 = "Qwen3ForCausalLM"
    }

    public let architecture: Architecture
    public let vocabularySize: Int
    public let hiddenSize: Int
    public let intermediateSize: Int
    public let layerCount: Int
    public let headCount: Int
    public let kvHeadCount: Int
    public let headDim: Int
    /// Greatest number of positions of a sequence.
    public let maxPositions: Int
    public let rmsNormEpsilon: Float
    public let tiedEmbeddings: Bool
    /// Biases of the q, k and v projections, and of the output projection.
    public let qkvBias: Bool
    public let outputBias: Bool
    /// RMS norm of each head of q and k, before rope.
    public let headNorm: Bool
    public let rope: RopeConfiguration
    /// Sliding window of each layer, in tokens, or `nil`; `[layers]`.
    public let windows: [Int32?]
    /// Tokens that end an answer.
    public let endTokens: [TokenID]
    public let beginToken: TokenID?
    /// `torch_dtype` or `dtype`, as written.
    public let declaredType: String?

    /// Query heads per KV head.
    public var groupSize: Int { headCount / kvHeadCount }
    public var queryWidth: Int { headCount * headDim }
    public var kvWidth: Int { kvHeadCount * headDim }

    /// Bytes of K and V of one token, over all layers.
    public func kvBytesPerToken(_ format: NumberFormat) -> Int {
        2 * layerCount * (kvWidth * format.byteCount + (format == .int8 ? 4 * kvHeadCount : 0))
    }

    /// Number of weights, all tensors of the architecture counted (tied ones once).
    public var parameterCount: Int {
        let attention = hiddenSize * (2 * queryWidth + 2 * kvWidth) + (qkvBias ? queryWidth + 2 * kvWidth : 0)
            + (outputBias ? hiddenSize : 0) + (headNorm ? 2 * headDim : 0)
        let layer = attention + 3 * hiddenSize * intermediateSize + 2 * hiddenSize
        return layer * layerCount + hiddenSize + vocabularySize * hiddenSize * (tiedEmbeddings ? 1 : 2)
    }

    /// Reads `config.json` of a checkpoint directory, or a GGUF file's metadata.
    /// - Throws: ``ModelError``
    public init(path: String) throws(ModelError) {
        if GGUFFile.isCandidate(path) {
            try self.init(GGUFFile(path: path))
        } else {
            try self.init(directory: path)
        }
    }

    /// Reads `config.json` of a checkpoint directory.
    /// - Throws: ``ModelError``
    public init(directory: String) throws(ModelError) {
        let config = try MappedFile.contents(of: directory + "/config.json", atMost: 4 << 20)
        let generationPath = directory + "/generation_config.json"
        let generation = FileManager.default.fileExists(atPath: generationPath)
            ? try MappedFile.contents(of: generationPath, atMost: 4 << 20) : nil
        try self.init(config: config, generationConfig: generation)
    }

    /// - Parameters:
    ///   - config: contents of `config.json`.
    ///   - generationConfig: contents of `generation_config.json`, whose end tokens take precedence.
    /// - Throws: ``ModelError``
    public init(config contents: [UInt8], generationConfig: [UInt8]? = nil) throws(ModelError) {
        let config = try ConfigurationReader(contents: contents, name: "config.json")
        let generation = try generationConfig.map { bytes throws(ModelError) in
            try ConfigurationReader(contents: bytes, name: "generation_config.json")
        }
        try self.init(config, generation: generation)
    }

    /// Checks all that a model is made from, wherever it was read.
    /// - Parameter ropeFactors: what the frequencies are divided by, `[headDim / 2]`, in place of a scaling in `config`.
    init(
        _ config: ConfigurationReader, generation: ConfigurationReader? = nil, ropeFactors: [Float]? = nil
    ) throws(ModelError) {
        architecture = try Self.architecture(config)
        try Self.refuseUnsupported(config)
        vocabularySize = try config.requiredInteger("vocab_size", in: 1...(1 << 24))
        hiddenSize = try config.requiredInteger("hidden_size", in: 1...(1 << 17))
        intermediateSize = try config.requiredInteger("intermediate_size", in: 1...(1 << 20))
        layerCount = try config.requiredInteger("num_hidden_layers", in: 1...1024)
        headCount = try config.requiredInteger("num_attention_heads", in: 1...4096)
        kvHeadCount = try config.integer("num_key_value_heads", in: 1...4096) ?? headCount
        guard headCount % kvHeadCount == 0 else { throw config.refuse("num_key_value_heads", .inconsistent) }
        headDim = try Self.headDim(config, hiddenSize: hiddenSize, headCount: headCount)
        // Positions have to be exact in float32, for rope.
        maxPositions = try config.requiredInteger("max_position_embeddings", in: 1...(1 << 24))
        rmsNormEpsilon = Float(try config.number("rms_norm_eps", in: 1e-12...1) ?? 1e-6)
        tiedEmbeddings = try config.flag("tie_word_embeddings") ?? false
        let attentionBias = try config.flag("attention_bias") ?? false
        qkvBias = architecture == .qwen2 || (attentionBias && architecture != .mistral)
        outputBias = attentionBias && (architecture == .llama || architecture == .qwen3)
        headNorm = architecture == .qwen3
        rope = try RopeConfiguration(config, factors: ropeFactors)
        windows = try SlidingWindows.read(config, architecture: architecture, layerCount: layerCount)
        let range = 0...(vocabularySize - 1)
        let generationEnds = try generation.map { reader throws(ModelError) in try Self.tokens(reader, "eos_token_id", in: range) } ?? []
        endTokens = generationEnds.isEmpty ? try Self.tokens(config, "eos_token_id", in: range) : generationEnds
        beginToken = try Self.tokens(config, "bos_token_id", in: range).first
        let current = try config.text("dtype"), older = try config.text("torch_dtype")
        declaredType = current ?? older
    }

    private static func architecture(_ config: ConfigurationReader) throws(ModelError) -> Architecture {
        guard let names = try config.array("architectures") else { throw config.refuse("architectures", .missing) }
        guard names.count == 1, let name = names.first(where: { _ in true })?.text else { throw config.refuse("architectures", .wrongType) }
        guard let architecture = Architecture(rawValue: name) else {
            throw ModelError(config.file, config.name(of: "architectures"), value: name, .unsupported)
        }
        return architecture
    }

    private static func refuseUnsupported(_ config: ConfigurationReader) throws(ModelError) {
        if let activation = try config.text("hidden_act"), activation != "silu" {
            throw config.refuse("hidden_act", .unsupported)
        }
        if try config.flag("mlp_bias") ?? false { throw config.refuse("mlp_bias", .unsupported) }
        if config["quantization_config"] != nil { throw config.refuse("quantization_config", .unsupported) }
    }

    private static func headDim(
        _ config: ConfigurationReader, hiddenSize: Int, headCount: Int
    ) throws(ModelError) -> Int {
        if let explicit = try config.integer("head_dim", in: 2...KVBlockLayout.largestHeadDim) {
            guard explicit % 2 == 0 else { throw config.refuse("head_dim", .unsupported) }
            return explicit
        }
        guard hiddenSize % headCount == 0 else { throw config.refuse("num_attention_heads", .inconsistent) }
        let dim = hiddenSize / headCount
        guard dim % 2 == 0, (2...KVBlockLayout.largestHeadDim).contains(dim) else {
            throw ModelError(config.file, "hidden_size / num_attention_heads", value: "\(dim)", .unsupported)
        }
        return dim
    }

    /// One token id, or a list of them.
    private static func tokens(
        _ reader: ConfigurationReader, _ key: String, in range: ClosedRange<Int>
    ) throws(ModelError) -> [TokenID] {
        guard let value = reader[key] else { return [] }
        guard value.count <= 4096 else { throw reader.refuse(key, .outOfRange) }
        return try (value.array.map(Array.init) ?? [value]).map { value throws(ModelError) in
            guard let id = value.integer else { throw reader.refuse(key, .wrongType) }
            guard range.contains(id) else { throw reader.refuse(key, .outOfRange) }
            return TokenID(id)
        }
    }
}

/// Which layers see only a window of the past.
private enum SlidingWindows {
    static func read(
        _ config: ConfigurationReader, architecture: ModelConfiguration.Architecture, layerCount: Int
    ) throws(ModelError) -> [Int32?] {
        let window = try config.integer("sliding_window", in: 1...Int(Int32.max)).map(Int32.init)
        let sliding = try layers(config, architecture: architecture, layerCount: layerCount, hasWindow: window != nil)
        if sliding.contains(true), window == nil { throw config.refuse("sliding_window", .missing) }
        return sliding.map { $0 ? window : nil }
    }

    private static func layers(
        _ config: ConfigurationReader, architecture: ModelConfiguration.Architecture, layerCount: Int, hasWindow: Bool
    ) throws(ModelError) -> [Bool] {
        let none = [Bool](repeating: false, count: layerCount)
        switch architecture {
        case .llama: return none
        case .mistral: return [Bool](repeating: hasWindow, count: layerCount)
        case .qwen2, .qwen3:
            guard try config.flag("use_sliding_window") ?? false, hasWindow else { return none }
            if let types = try config.array("layer_types") {
                guard types.count == layerCount else { throw config.refuse("layer_types", .inconsistent) }
                return try types.map { type throws(ModelError) in
                    switch type.text {
                    case "full_attention": false
                    case "sliding_attention": true
                    default: throw ModelError(config.file, "layer_types", value: type.shown, .unsupported)
                    }
                }
            }
            let first = try config.integer("max_window_layers", in: 0...1024) ?? 28
            return (0..<layerCount).map { $0 >= first }
        }
    }
}
