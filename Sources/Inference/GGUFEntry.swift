/// A key of a GGUF file's metadata and its value, to be written.
public struct GGUFEntry: Sendable, Hashable {
    public enum Value: Sendable, Hashable {
        case uint32(UInt32)
        case float32(Float)
        case bool(Bool)
        case string(String)
        case strings([[UInt8]])
        case int32s([Int32])
        case float32s([Float])
    }

    public var key: String
    public var value: Value

    public init(_ key: String, _ value: Value) {
        self.key = key
        self.value = value
    }

    func append(to bytes: inout [UInt8]) {
        bytes.appendString(Array(key.utf8))
        switch value {
        case .uint32(let number): bytes.append(.uint32, number)
        case .float32(let number): bytes.append(.float32, number.bitPattern)
        case .bool(let flag): bytes.append(.bool, flag ? 1 as UInt8 : 0)
        case .string(let text):
            bytes.appendNumber(GGUFValueType.string.rawValue)
            bytes.appendString(Array(text.utf8))
        case .strings(let strings):
            bytes.appendArray(of: .string, strings.count)
            for string in strings { bytes.appendString(string) }
        case .int32s(let numbers):
            bytes.appendArray(of: .int32, numbers.count)
            for number in numbers { bytes.appendNumber(number) }
        case .float32s(let numbers):
            bytes.appendArray(of: .float32, numbers.count)
            for number in numbers { bytes.appendNumber(number.bitPattern) }
        }
    }
}

extension [UInt8] {
    mutating func appendNumber(_ number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }

    mutating func appendString(_ string: [UInt8]) {
        appendNumber(UInt64(string.count))
        append(contentsOf: string)
    }

    fileprivate mutating func append(_ type: GGUFValueType, _ number: some FixedWidthInteger) {
        appendNumber(type.rawValue)
        appendNumber(number)
    }

    fileprivate mutating func appendArray(of type: GGUFValueType, _ count: Int) {
        appendNumber(GGUFValueType.array.rawValue)
        appendNumber(type.rawValue)
        appendNumber(UInt64(count))
    }
}
