/// What an answer must conform to. Enforced by masks on what can be sampled, so that nothing else can come out.
public struct Constraint: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Any JSON object; needs no source.
        case jsonObject
        /// JSON that a schema accepts, which is the source.
        case jsonSchema
        /// A regular expression.
        case regex
        /// A context-free grammar.
        case grammar
    }

    /// Bytes of the source, in UTF-8.
    public static let maxByteCount = 256 << 10

    public var kind: Kind
    public var source: String

    public init(kind: Kind, source: String = "") {
        self.kind = kind
        self.source = source
    }
}
