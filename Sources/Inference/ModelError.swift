/// A file of a checkpoint that cannot be used: which file, which field, which value, and why.
public struct ModelError: Error, Sendable, Hashable, CustomStringConvertible {
    /// File name within the checkpoint's directory, or its path.
    public var file: String
    /// Key, tensor or header field; empty if the file as a whole is meant.
    public var field: String
    public var value: String
    public var reason: Reason

    public enum Reason: String, Sendable, Hashable, CaseIterable {
        case unreadable = "cannot be read"
        case tooLarge = "is too large"
        case malformed = "is not valid JSON"
        case missing = "is missing"
        case wrongType = "has the wrong type"
        case outOfRange = "is out of range"
        case inconsistent = "contradicts another value"
        case unsupported = "is not supported"
        case truncated = "is longer than the file"
        case headerLength = "is not a possible header length"
        case offsets = "lies outside of the data, or its length is not that of its shape"
        case overlap = "overlaps another tensor, or leaves a gap"
        case duplicate = "appears twice"
        case unsafePath = "is not a plain file name"
        case shape = "has the wrong shape"
        case magic = "is not the start of a GGUF file"
        case text = "is not valid UTF-8"
        case depth = "is nested too deeply"
        case misaligned = "is not a multiple of the alignment"
    }

    init(_ file: String, _ field: String = "", value: String = "", _ reason: Reason) {
        self.file = file
        self.field = field
        self.value = value
        self.reason = reason
    }

    public var description: String {
        let field = Self.onOneLine(field), value = Self.onOneLine(value)
        if field.isEmpty { return "\(file): \(reason.rawValue)" + (value.isEmpty ? "" : " (\(value))") }
        let what = [field, value.isEmpty ? "" : "= \(value)"].filter { !$0.isEmpty }.joined(separator: " ")
        return "\(file): \(what) \(reason.rawValue)"
    }

    /// A file's own text must not steer a terminal.
    private static func onOneLine(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { shown, scalar in
            if scalar.properties.generalCategory == .control {
                shown += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                shown.unicodeScalars.append(scalar)
            }
        }
    }
}
