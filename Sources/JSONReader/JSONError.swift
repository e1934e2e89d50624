/// Why a text is not one JSON document that every reader understands alike.
public enum JSONError: Error, Sendable, Hashable {
    /// The text breaks the grammar (RFC 8259) or a limit; `offset` counts bytes from its start.
    case malformed(offset: Int, Problem)
    /// Two members of an object have the same key, byte for byte once escapes are resolved; `path` leads to the second.
    case duplicateKey(path: String)

    public enum Problem: String, Sendable, Hashable, CaseIterable {
        case invalidUTF8 = "invalid UTF-8"
        case tooLarge = "text too large"
        case tooDeep = "nested too deeply"
        case unexpectedEnd = "unexpected end of the text"
        case unexpectedByte = "unexpected byte"
        case trailingBytes = "bytes after the end of the value"
        case invalidEscape = "invalid escape in a string"
        case loneSurrogate = "surrogate without its partner in a string"
        case controlCharacter = "control character in a string"
        case invalidNumber = "malformed number"
    }
}

extension JSONError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformed(let offset, let problem): "byte \(offset): \(problem.rawValue)"
        case .duplicateKey(let path): "\(path): key appears twice"
        }
    }
}
