import Generation
import JSONReader

/// Why a constraint cannot be enforced, or a token does not obey it.
public enum GrammarError: Error, Sendable, Hashable {
    /// The schema is no JSON text.
    case malformedSchema(JSONError)
    /// A part of the schema is wrong or cannot be enforced exactly; `pointer` is its JSON pointer (RFC 6901).
    case schema(pointer: String, String)
    /// `offset` counts bytes of the source.
    case syntax(source: Source, offset: Int, String)
    /// A rule of a grammar that is used but not defined.
    case undefinedRule(String)
    /// The rule can come back to itself before any character.
    case leftRecursion(rule: String)
    /// Compiling would exceed a limit.
    case tooComplex(Limit)
    /// No text obeys the constraint.
    case unsatisfiable
    /// The tokenizer changes text in a way that no mask can follow.
    case unsupportedVocabulary(String)
    /// The token may not follow those before it.
    case tokenNotAllowed(TokenID, index: Int)

    public enum Source: String, Sendable, Hashable {
        case regex = "regular expression"
        case grammar
    }

    public enum Limit: String, Sendable, Hashable {
        case sourceBytes = "bytes of source"
        case nesting = "levels of nesting"
        case rules, states, work, alternatives
    }
}

extension GrammarError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformedSchema(let error): "the schema is not JSON: \(error)"
        case .schema(let pointer, let problem): "schema at \(pointer.isEmpty ? "the root" : pointer): \(problem)"
        case .syntax(let source, let offset, let problem): "\(source.rawValue), byte \(offset): \(problem)"
        case .undefinedRule(let name): "grammar: rule \(JSONValue.quoted(name)) is not defined"
        case .leftRecursion(let rule): "grammar: rule \(JSONValue.quoted(rule)) can come back to itself before any character (left recursion)"
        case .tooComplex(let limit): "the constraint is too complex: too many \(limit.rawValue)"
        case .unsatisfiable: "no text obeys the constraint"
        case .unsupportedVocabulary(let reason): "the tokenizer allows no constraints: \(reason)"
        case .tokenNotAllowed(let token, let index): "token \(token), number \(index) of the answer, breaks its constraint"
        }
    }
}
