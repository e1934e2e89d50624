/// Why a chat template could not be read or rendered, and where in its source.
public struct ChatTemplateError: Error, Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// The source breaks Jinja's grammar.
        case syntax
        /// The source is Jinja, but uses what this interpreter does not do.
        case unsupported
        /// An operation that Jinja refuses as well: an attribute of an undefined value, a number added to a text.
        case failed
        /// The template itself refuses its input, by `raise_exception`.
        case raised
        /// One of ``TemplateLimits`` is exceeded, or a number does not fit in 64 bits.
        case limit
    }

    public let kind: Kind
    public let message: String
    /// Counted from 1; a line ends with `\n`, `\r` or `\r\n`.
    public let line: Int
    /// Unicode scalars from the start of the line, counted from 1.
    public let column: Int
}

extension ChatTemplateError: CustomStringConvertible {
    public var description: String { "chat template: line \(line), column \(column): \(message)" }
}

/// A ``ChatTemplateError`` on its way up to where the source is known.
struct Fault: Error {
    let kind: ChatTemplateError.Kind
    let message: String
    /// In bytes from the start of the source; without it, that of the operation under way.
    var offset: Int?

    init(_ kind: ChatTemplateError.Kind, _ message: String, at offset: Int? = nil) {
        self.kind = kind
        self.message = message
        self.offset = offset
    }

    static func failed(_ message: String) -> Fault { Fault(.failed, message) }
}
