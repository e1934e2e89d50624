/// Reads a GGUF file from front to back. Every length is checked against what is left before anything is done with it.
struct GGUFCursor {
    let bytes: UnsafeRawBufferPointer
    /// For errors.
    let path: String
    private(set) var offset: Int

    static let greatestDepth = 4

    init(_ bytes: UnsafeRawBufferPointer, path: String, offset: Int = 0) {
        self.bytes = bytes
        self.path = path
        self.offset = offset
    }

    var left: Int { bytes.count - offset }

    /// The next `count` bytes.
    mutating func take(_ count: Int, _ field: String) throws(ModelError) -> Range<Int> {
        guard count <= left else { throw ModelError(path, field, value: "\(count) bytes at \(offset) of \(bytes.count)", .truncated) }
        defer { offset += count }
        return offset..<offset + count
    }

    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type, _ field: String) throws(ModelError) -> Number {
        let range = try take(MemoryLayout<Number>.size, field)
        return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: range.lowerBound, as: Number.self))
    }

    /// A count of things that take at least `leastByteCount` bytes each, all of which are still to come.
    mutating func count(of leastByteCount: Int, atMost limit: Int = .max, _ field: String) throws(ModelError) -> Int {
        let declared = try number(UInt64.self, field)
        guard declared <= UInt64(limit) else { throw ModelError(path, field, value: "\(declared)", .outOfRange) }
        guard declared <= UInt64(left / leastByteCount) else { throw ModelError(path, field, value: "\(declared)", .truncated) }
        return Int(declared)
    }

    /// The place of a string's bytes.
    mutating func stringRange(_ field: String) throws(ModelError) -> Range<Int> {
        let declared = try number(UInt64.self, field)
        guard declared <= UInt64(left) else { throw ModelError(path, field, value: "\(declared) bytes", .truncated) }
        return try take(Int(declared), field)
    }

    mutating func string(_ field: String, lengths: ClosedRange<Int> = 0...Int.max) throws(ModelError) -> String {
        let range = try stringRange(field)
        guard lengths.contains(range.count) else { throw ModelError(path, field, value: "\(range.count) bytes", .outOfRange) }
        guard let text = String(validating: UnsafeRawBufferPointer(rebasing: bytes[range]), as: UTF8.self) else {
            throw ModelError(path, field, value: String(decoding: bytes[range].prefix(60), as: UTF8.self), .text)
        }
        return text
    }

    mutating func valueType(_ field: String) throws(ModelError) -> GGUFValueType {
        let declared = try number(UInt32.self, field)
        guard let type = GGUFValueType(rawValue: declared) else {
            throw ModelError(path, field, value: "value type \(declared)", .unsupported)
        }
        return type
    }

    mutating func value(_ type: GGUFValueType, _ field: String) throws(ModelError) -> GGUFValue {
        switch type {
        case .uint8: return .integer(Int(try number(UInt8.self, field)))
        case .int8: return .integer(Int(try number(Int8.self, field)))
        case .uint16: return .integer(Int(try number(UInt16.self, field)))
        case .int16: return .integer(Int(try number(Int16.self, field)))
        case .uint32: return .integer(Int(try number(UInt32.self, field)))
        case .int32: return .integer(Int(try number(Int32.self, field)))
        case .int64: return .integer(Int(try number(Int64.self, field)))
        case .uint64:
            let value = try number(UInt64.self, field)
            return Int(exactly: value).map { .integer($0) } ?? .number(Double(value))
        case .float32: return .number(Double(Float(bitPattern: try number(UInt32.self, field))))
        case .float64: return .number(Double(bitPattern: try number(UInt64.self, field)))
        case .bool: return .bool(try flag(field))
        case .string: return .string(try string(field))
        case .array: return .array(try array(field, depth: 1))
        }
    }

    private mutating func flag(_ field: String) throws(ModelError) -> Bool {
        let byte = try number(UInt8.self, field)
        guard byte <= 1 else { throw ModelError(path, field, value: "\(byte)", .outOfRange) }
        return byte == 1
    }

    /// Walks over an array and all in it.
    private mutating func array(_ field: String, depth: Int) throws(ModelError) -> GGUFArray {
        guard depth <= Self.greatestDepth else { throw ModelError(path, field, value: "\(depth) arrays", .depth) }
        let type = try valueType(field), count = try count(of: type.leastByteCount, field), start = offset
        switch type {
        case .string: for _ in 0..<count { _ = try stringRange(field) }
        case .array: for _ in 0..<count { _ = try array(field, depth: depth + 1) }
        case .bool: for _ in 0..<count { _ = try flag(field) }
        default: _ = try take(count * type.leastByteCount, field)
        }
        return GGUFArray(elementType: type, count: count, range: start..<offset)
    }
}
