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
    public let configuration: ModelConfiguration
    public let weightFormat: NumberFormat
    /// Of int8 weights.
    let scaleGroup: ScaleGroup
    public let kernels: KernelSet
    /// Hexadecimal SHA-256, see ``ModelHash``.
    public let hash: String
    let weights: ModelWeights
    /// Where the packed weights are.
    public let cacheOutcome: WeightCache.Outcome
    let inverseFrequencies: [Float]  // [head dim / 2]
    private let float32Path: Float32Path

    /// Loads a checkpoint directory (`config.json`, safetensors) or a GGUF file: maps its packed weights if an earlier run left
    /// them in `cache`, or packs them on `threads` threads.
    /// - Parameter progress: called with the share of the weights packed, 0 ... 1.
    /// - Throws: ``ModelError`` for a checkpoint that cannot be used, `KernelError` if memory is refused.
    public init(
        path: String, format: WeightFormat = .auto, kernels: KernelSet, team: ThreadTeam, threads: Int,
        float32Path: Float32Path = .packed, cache: WeightCache = .off, progress: (Double) -> Void = { _ in }
    ) throws {
        let configuration = try ModelConfiguration(path: path)
        let checkpoint = try CheckpointIndex(path: path)
        let embeddingName = "model.embed_tokens.weight"
        let shape = [configuration.vocabularySize, configuration.hiddenSize]
        let stored = try checkpoint.require(embeddingName, shape: shape).tensor.type
        let weightFormat = format.resolved(stored: stored), scaleGroup = ScaleGroup(stored: stored)
        let layout = WeightLayout(configuration, format: weightFormat, group: scaleGroup)
        let loader = WeightLoader(checkpoint: checkpoint, layout: layout, team: team, threads: threads)
        let usesOpenBLAS = float32Path == .openBLAS && weightFormat == .float32
        let loaded = try (usesOpenBLAS ? .off : cache).load(loader, progress: progress)
        self.configuration = configuration
        self.weightFormat = weightFormat
        self.scaleGroup = scaleGroup
        self.kernels = kernels
        self.float32Path = float32Path
        weights = ModelWeights(
            configuration, layout: layout, memory: loaded.memory, openBLAS: usesOpenBLAS ? try loader.openBLASPaths() : [:])
        cacheOutcome = loaded.outcome
        hash = loaded.modelHash
        inverseFrequencies = configuration.rope.inverseFrequencies(headDim: configuration.headDim)
        progress(1)
    }

    private var matrices: [PackedMatrix] { weights.layers.flatMap(\.matrices) }
    private var isTied: Bool { weights.head === weights.embedding }

    /// Bytes of packed weights.
    public var weightByteCount: Int {
        matrices.reduce(weights.embedding.byteCount + (isTied ? 0 : weights.head.byteCount)) { $0 + $1.byteCount }
    }

    /// Bytes of packed weights that a step reads: all but an embedding of its own.
    public var streamedByteCount: Int { weightByteCount - (isTied ? 0 : weights.embedding.byteCount) }

    /// Arithmetic of the matrix products; `float32-openblas` is followed by the matrices that it serves.
    public var kernelFamily: String {
        guard float32Path == .openBLAS, weightFormat == .float32 else {
            return kernels.family(for: weightFormat, group: scaleGroup)
        }
        let served = (matrices + [weights.head]).map { $0.usesOpenBLAS ? "1" : "0" }
        return "float32-openblas-" + served.joined()
    }

    /// Geometry of a KV block of this model. Attention multiplies bfloat16 as the matrices do, so that float32 and int8
    /// weights have the same bits on every instruction set, whatever their KV.
    public func kvLayout(blockSize: Int, format: KVFormat = .auto) -> KVBlockLayout {
        let format = format.resolved(weights: weightFormat), headDim = configuration.headDim
        let isPaired = format == .bfloat16 && weightFormat == .bfloat16 && kernels.multipliesPairs
            && KVBlockLayout.canPair(headDim: headDim)
        return KVBlockLayout(
            kvHeads: configuration.kvHeadCount, headDim: headDim, blockSize: blockSize, format: format, isPaired: isPaired)
    }
}
