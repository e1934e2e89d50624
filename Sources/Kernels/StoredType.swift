import CKernels

/// Element type of a tensor in a checkpoint: a number, or one of ggml's blocks of quantized numbers, which lie within a row.
public enum StoredType: String, Sendable, Hashable, CaseIterable {
    case float32 = "F32", float16 = "F16", bfloat16 = "BF16"
    case q4_0 = "Q4_0", q4_1 = "Q4_1", q5_0 = "Q5_0", q5_1 = "Q5_1", q8_0 = "Q8_0"
    case q4_K = "Q4_K", q5_K = "Q5_K", q6_K = "Q6_K"

    /// Elements that are stored together; 1 for plain numbers.
    public var elementsPerBlock: Int {
        switch self {
        case .float32, .float16, .bfloat16: 1
        case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0: 32
        case .q4_K, .q5_K, .q6_K: 256
        }
    }

    public var bytesPerBlock: Int {
        switch self {
        case .float32: 4
        case .float16, .bfloat16: 2
        case .q4_0: 18
        case .q4_1: 20
        case .q5_0: 22
        case .q5_1: 24
        case .q8_0: 34
        case .q4_K: 144
        case .q5_K: 176
        case .q6_K: 210
        }
    }

    public var isQuantized: Bool { elementsPerBlock > 1 }

    /// Bytes of `elements`, which are whole blocks.
    public func byteCount(elements: Int) -> Int {
        precondition(elements >= 0 && elements % elementsPerBlock == 0, "\(elements) elements of \(self)")
        return elements / elementsPerBlock * bytesPerBlock
    }

    var cType: bk_type {
        switch self {
        case .float32: BK_FLOAT32
        case .float16: BK_FLOAT16
        case .bfloat16: BK_BFLOAT16
        case .q4_0: BK_Q4_0
        case .q4_1: BK_Q4_1
        case .q5_0: BK_Q5_0
        case .q5_1: BK_Q5_1
        case .q8_0: BK_Q8_0
        case .q4_K: BK_Q4_K
        case .q5_K: BK_Q5_K
        case .q6_K: BK_Q6_K
        }
    }

    /// Converts `count` elements (whole blocks) at `source` (unaligned, little-endian) to float32: plain numbers exactly,
    /// blocks to the bits that ggml's own reference code gives.
    public func widen(_ source: UnsafeRawPointer, into destination: UnsafeMutablePointer<Float>, count: Int) {
        precondition(count % elementsPerBlock == 0, "\(count) elements of \(self)")
        bk_widen(source, cType, destination, count)
    }

    /// Whether ``narrowed(_:)`` can make it.
    public var isWritable: Bool { !isQuantized || self == .q8_0 }

    /// The stored bytes of `values` (whole blocks), rounded to nearest even, or quantized as ggml does.
    public func narrowed(_ values: [Float]) -> [UInt8] {
        precondition(isWritable && values.count % elementsPerBlock == 0, "\(values.count) elements of \(self)")
        let byteCount = byteCount(elements: values.count)
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initialized in
            if let out = buffer.baseAddress { bk_narrow(values, cType, out, values.count) }
            initialized = byteCount
        }
    }
}

/// Where a checkpoint's tensor keeps its rows.
public enum RowOrder: Sendable, Hashable {
    case natural
    /// Within each head of `headDim` rows, the two halves take turns: llama.cpp rotates neighbouring pairs, and so its
    /// converters move row `i` and row `i + headDim / 2` beside each other.
    case interleavedHalves(headDim: Int)

    /// The place of row `row` in the file.
    public func storedRow(_ row: Int) -> Int {
        switch self {
        case .natural: return row
        case .interleavedHalves(let headDim):
            let (head, i) = row.quotientAndRemainder(dividingBy: headDim), half = headDim / 2
            return head * headDim + i % half * 2 + i / half
        }
    }

    /// The row at place `place` of the file.
    public func row(storedAt place: Int) -> Int {
        switch self {
        case .natural: return place
        case .interleavedHalves(let headDim):
            let (head, i) = place.quotientAndRemainder(dividingBy: headDim)
            return head * headDim + i % 2 * (headDim / 2) + i / 2
        }
    }
}
