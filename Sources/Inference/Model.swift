import Kernels

/// How weights are kept in memory.
public enum WeightFormat: String, Sendable, Hashable, CaseIterable {
    /// As the checkpoint is stored: bfloat16; Q8_0 as int8, bytes and scales as they are; other quantized blocks as bfloat16;
    /// else float32.
    case auto
    case float32, bfloat16
    /// Quantized when loaded: a scale per output and group of inputs. Norms and biases stay float32.
    case int8

    public func resolved(stored: StoredType) -> NumberFormat {
        switch self {
        case .auto: stored == .q8_0 ? .int8 : stored == .bfloat16 || stored.isQuantized ? .bfloat16 : .float32
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .int8: .int8
        }
    }
}

extension ScaleGroup {
    /// Groups of int8 weights made from a checkpoint of this type: those that it has already, if it does.
    init(stored: StoredType) { self = stored == .q8_0 ? .of32 : .of64 }
}

/// How K and V are kept in memory.
public enum KVFormat: String, Sendable, Hashable, CaseIterable {
    /// As the weights; bfloat16 for int8 weights.
    case auto
    case float32, bfloat16
    /// With a scale per token and KV head.
    case int8

    public func resolved(weights: NumberFormat) -> NumberFormat {
        switch self {
        case .auto: weights == .int8 ? .bfloat16 : weights
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .int8: .int8
        }
    }
}

/// A model's weights, packed for the kernels. Immutable; shared by all engines of a process.
public final class Model: Sendable {
    struct Layer: Sendable {
        let inputNorm: [Float]       // [hidden]
        let qkv: PackedMatrix        // [query width + 2 KV width, hidden]
        let qkvBias: [Float]?        // [query width + 2 KV width]
        let queryNorm: [Float]?      // [head dim]
        let keyNorm: [Float]?        // [head dim]
        let output: PackedMatrix     // [hidden, query width]
        let outputBias: [Float]?     // [hidden]
        let attentionNorm: [Float]   // [hidden], after attention
        let gateUp: PackedMatrix     // [2 intermediate, hidden]
        let down: PackedMatrix       // [hidden, intermediate]
    }

    public let configuration: ModelConfiguration
    public let weightFormat: NumberFormat
    /// Of int8 weights.
    let scaleGroup: ScaleGroup
    public let kernels: KernelSet
    /// Hexadecimal SHA-256, see ``ModelHash``.
    public let hash: String
    let embedding: PackedMatrix      // [vocabulary, hidden]
    let head: PackedMatrix           // [vocabulary, hidden]; the embedding itself if tied
    let finalNorm: [Float]           // [hidden]
    let layers: [Layer]
    let inverseFrequencies: [Float]  // [head dim / 2]
    private let float32Path: Float32Path

    /// Loads a checkpoint directory (`config.json`, safetensors) or a GGUF file and packs its weights on `threads` threads.
    /// - Parameter progress: called with the share of layers packed, 0 ... 1.
    /// - Throws: ``ModelError`` for a checkpoint that cannot be used, `KernelError` if memory is refused.
    public init(
        directory: String, format: WeightFormat = .auto, kernels: KernelSet, team: ThreadTeam, threads: Int,
        float32Path: Float32Path = .packed, progress: (Double) -> Void = { _ in }
    ) throws {
        let configuration = try ModelConfiguration(path: directory)
        let checkpoint = try CheckpointIndex(path: directory)
        let embeddingName = "model.embed_tokens.weight"
        let shape = [configuration.vocabularySize, configuration.hiddenSize]
        let stored = try checkpoint.require(embeddingName, shape: shape).tensor.type
        let weightFormat = format.resolved(stored: stored), scaleGroup = ScaleGroup(stored: stored)
        let loader = WeightLoader(
            checkpoint: checkpoint, configuration: configuration, format: weightFormat, group: scaleGroup, team: team,
            threads: threads, float32Path: float32Path)
        self.configuration = configuration
        self.weightFormat = weightFormat
        self.scaleGroup = scaleGroup
        self.kernels = kernels
        self.float32Path = float32Path
        embedding = try loader.matrix([embeddingName], rows: [configuration.vocabularySize], inputs: configuration.hiddenSize)
        head = configuration.tiedEmbeddings ? embedding : try loader.matrix(
            ["lm_head.weight"], rows: [configuration.vocabularySize], inputs: configuration.hiddenSize)
        finalNorm = try loader.vector(["model.norm.weight"], counts: [configuration.hiddenSize])
        layers = try (0..<configuration.layerCount).map { index in
            progress(Double(index) / Double(configuration.layerCount))
            return try loader.layer(index)
        }
        inverseFrequencies = configuration.rope.inverseFrequencies(headDim: configuration.headDim)
        hash = ModelHash.compute(config: try checkpoint.configurationBytes(), checkpoint: checkpoint, team: team, threads: threads)
        progress(1)
    }

    /// Bytes of packed weights.
    public var weightByteCount: Int {
        let matrices = layers.flatMap { [$0.qkv, $0.output, $0.gateUp, $0.down] }
        return matrices.reduce(embedding.byteCount + (head === embedding ? 0 : head.byteCount)) { $0 + $1.byteCount }
    }

    /// Bytes of packed weights that a step reads: all but an embedding of its own.
    public var streamedByteCount: Int { weightByteCount - (head === embedding ? 0 : embedding.byteCount) }

    /// Arithmetic of the matrix products; `float32-openblas` is followed by the matrices that it serves.
    public var kernelFamily: String {
        guard float32Path == .openBLAS, weightFormat == .float32 else {
            return kernels.family(for: weightFormat, group: scaleGroup)
        }
        let served = (layers.flatMap { [$0.qkv, $0.output, $0.gateUp, $0.down] } + [head]).map { $0.usesOpenBLAS ? "1" : "0" }
        return "float32-openblas-" + served.joined()
    }

    /// Geometry of a KV block of this model.
    public func kvLayout(blockSize: Int, format: KVFormat = .auto) -> KVBlockLayout {
        KVBlockLayout(kvHeads: configuration.kvHeadCount, headDim: configuration.headDim, blockSize: blockSize,
                      format: format.resolved(weights: weightFormat))
    }
}
