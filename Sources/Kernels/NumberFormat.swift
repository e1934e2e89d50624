import CKernels

/// Element type of packed weights or of the KV cache.
public enum NumberFormat: String, Sendable, Hashable, CaseIterable {
    case float32, bfloat16

    public var byteCount: Int { self == .float32 ? 4 : 2 }

    var cType: bk_type { self == .float32 ? BK_FLOAT32 : BK_BFLOAT16 }
}
