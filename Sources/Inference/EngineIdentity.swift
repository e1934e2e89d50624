/// What decides the bits of an answer besides the request: the numerics class that a worker announces.
///
/// Two engines of equal identity give equal bits. A query's KV must not move between engines whose identities differ.
public struct EngineIdentity: Sendable, Hashable, CustomStringConvertible {
    /// Hexadecimal SHA-256 over configuration and weights (``ModelHash``).
    public var modelHash: String
    /// `float32`, `bfloat16` or `int8`.
    public var weightFormat: String
    /// `float32` or `bfloat16`.
    public var kvFormat: String
    /// Arithmetic of the matrix products: `float32-fma`, `float32-openblas`, `bf16-fma`,
    /// `bf16-dpbf16`, `bf16-amx` or `int8-g64`.
    public var kernelFamily: String
    /// Digest of the logits of a small fixed forward pass.
    public var canary: UInt64

    public init(modelHash: String, weightFormat: String, kvFormat: String, kernelFamily: String, canary: UInt64) {
        self.modelHash = modelHash
        self.weightFormat = weightFormat
        self.kvFormat = kvFormat
        self.kernelFamily = kernelFamily
        self.canary = canary
    }

    public var description: String {
        let digits = String(canary, radix: 16)
        return "\(modelHash.prefix(12)) \(weightFormat)/\(kvFormat) \(kernelFamily) "
            + String(repeating: "0", count: 16 - digits.count) + digits
    }
}
