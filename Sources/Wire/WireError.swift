/// What is wrong with a message, named by message and field.
public enum WireError: Error, Sendable, Hashable, CustomStringConvertible {
    case frameCount(message: String, expected: Int, actual: Int)
    /// Checked before anything is unpacked.
    case headerTooLong(message: String, byteCount: Int)
    /// Not protobuf, or more than the budget of memory.
    case malformedHeader(message: String)
    /// Fields that this version does not know are refused: they could mean anything.
    case unknownFields(message: String)
    case version(ours: UInt32, theirs: UInt32)
    case missing(message: String, field: String)
    case value(message: String, field: String, value: String)
    case notText(message: String, field: String)
    case payloadLength(message: String, expected: Int, actual: Int)

    public var description: String {
        switch self {
        case .frameCount(let message, let expected, let actual):
            "\(message): \(actual) frames instead of \(expected)"
        case .headerTooLong(let message, let byteCount):
            "\(message): header of \(byteCount) bytes, at most \(Header.maxByteCount) are allowed"
        case .malformedHeader(let message): "\(message): malformed header"
        case .unknownFields(let message): "\(message): unknown fields"
        case .version(let ours, let theirs): "protocol version \(theirs), ours is \(ours)"
        case .missing(let message, let field): "\(message).\(field): missing"
        case .value(let message, let field, let value): "\(message).\(field): \(value) is out of range"
        case .notText(let message, let field): "\(message).\(field): not UTF-8"
        case .payloadLength(let message, let expected, let actual):
            "\(message): payload of \(actual) bytes instead of \(expected)"
        }
    }
}
