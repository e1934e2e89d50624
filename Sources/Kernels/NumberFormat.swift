import CKernels

/// Element type of packed weights or of the KV cache.
public enum NumberFormat: String, Sendable, Hashable, CaseIterable {
    case float32, bfloat16, int8

    public var byteCount: Int {
        switch self {
        case .float32: 4
        case .bfloat16: 2
        case .int8: 1
        }
    }

    var cType: bk_type {
        switch self {
        case .float32: BK_FLOAT32
        case .bfloat16: BK_BFLOAT16
        case .int8: BK_INT8
        }
    }
}

/// How many consecutive inputs share a scale in int8 weights, and in the activations that they are multiplied with.
public enum ScaleGroup: Int, Sendable, Hashable, CaseIterable {
    /// As in GGUF's Q8_0.
    case of32 = 32
    /// For weights that are quantized here.
    case of64 = 64
}
