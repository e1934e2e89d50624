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

/// Element type of a tensor in a checkpoint.
public enum StoredType: String, Sendable, Hashable, CaseIterable {
    case float32 = "F32", float16 = "F16", bfloat16 = "BF16"

    public var byteCount: Int { self == .float32 ? 4 : 2 }

    var cType: bk_type {
        switch self {
        case .float32: BK_FLOAT32
        case .float16: BK_FLOAT16
        case .bfloat16: BK_BFLOAT16
        }
    }

    /// Converts `count` elements at `source` (unaligned, little-endian) to float32, exactly.
    public func widen(_ source: UnsafeRawPointer, into destination: UnsafeMutablePointer<Float>, count: Int) {
        bk_widen(source, cType, destination, count)
    }
}
