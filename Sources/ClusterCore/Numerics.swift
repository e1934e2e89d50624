/// What has to agree between two workers before a query's KV may move from one to the other.

/// Everything that decides the bits of a forward pass. A query stays within one class for its whole life; the
/// coordinator refuses a worker whose class differs from the cluster's.
public struct NumericsClass: Sendable, Hashable {
    /// Hash of configuration and weights, hexadecimal.
    public var modelHash: String
    /// `float32`, `bfloat16` or `int8`.
    public var weightFormat: String
    /// `float32`, `bfloat16` or `int8`.
    public var kvFormat: String
    /// The kernels' arithmetic, e.g. `bfloat16-dpbf16`.
    public var kernelFamily: String
    /// Digest of a small forward pass at start-up: catches what the names above do not say.
    public var canary: UInt64

    public init(modelHash: String, weightFormat: String, kvFormat: String, kernelFamily: String, canary: UInt64) {
        self.modelHash = modelHash
        self.weightFormat = weightFormat
        self.kvFormat = kvFormat
        self.kernelFamily = kernelFamily
        self.canary = canary
    }
}

/// Size and shape of KV blocks. One *layer block* (the K and V of `blockSize` tokens in one layer) is the unit
/// that is sent, checksummed and credited.
public struct KVGeometry: Sendable, Hashable {
    public var layerCount: Int
    /// Tokens in a block.
    public var blockSize: Int
    public var keyValueHeads: Int
    public var headDimension: Int
    /// Bytes of one stored element: 4, 2 or 1.
    public var bytesPerElement: Int
    /// Bytes of the scale that each token's K has, and its V has, in each KV head: 4 for int8, else 0.
    public var bytesPerScale: Int

    public init(
        layerCount: Int, blockSize: Int, keyValueHeads: Int, headDimension: Int, bytesPerElement: Int,
        bytesPerScale: Int = 0
    ) {
        self.layerCount = layerCount
        self.blockSize = blockSize
        self.keyValueHeads = keyValueHeads
        self.headDimension = headDimension
        self.bytesPerElement = bytesPerElement
        self.bytesPerScale = bytesPerScale
    }

    /// Bytes of one layer block: `[K, V] × keyValueHeads × blockSize × headDimension`, and as many scales as vectors.
    public var bytesPerLayerBlock: Int {
        2 * keyValueHeads * blockSize * (headDimension * bytesPerElement + bytesPerScale)
    }

    /// Blocks that hold `tokenCount` tokens.
    public func blockCount(forTokens tokenCount: Int) -> Int { (tokenCount + blockSize - 1) / blockSize }
}
