/// A value of a GGUF file's metadata.
enum GGUFValue: Sendable, Hashable {
    /// Of any width and sign that fits.
    case integer(Int)
    /// A float of either width, or an integer that does not fit.
    case number(Double)
    case bool(Bool)
    case string(String)
    case array(GGUFArray)

    /// What the value looks like in an error message.
    var brief: String {
        switch self {
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .bool(let value): "\(value)"
        case .string(let value): "\"\(value.prefix(60))\""
        case .array(let array): "an array of \(array.count)"
        }
    }
}

/// An array of the metadata, checked and left where it lies: a vocabulary has a hundred thousand elements.
struct GGUFArray: Sendable, Hashable {
    var elementType: GGUFValueType
    var count: Int
    /// Bytes of the elements within the file.
    var range: Range<Int>
}

/// Types of metadata values, by their number in the file.
enum GGUFValueType: UInt32, Sendable, Hashable, CaseIterable {
    case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// Bytes of a value; `nil` if it varies.
    var byteCount: Int? {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64: 8
        case .string, .array: nil
        }
    }

    /// The fewest bytes that a value takes.
    var leastByteCount: Int { byteCount ?? (self == .string ? 8 : 12) }
}
