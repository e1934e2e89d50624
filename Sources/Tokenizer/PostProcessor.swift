import Generation
import JSONReader

/// The special tokens that a text gets before and after.
struct PostProcessor: Sendable {
    private(set) var prefix: [TokenID] = []
    private(set) var suffix: [TokenID] = []
    private var hasTemplate = false

    /// Pieces of a template, and tokens that they stand for: a token that is named again and again costs the file little.
    private static let greatestCount = 256

    init(prefix: [TokenID], suffix: [TokenID]) {
        self.prefix = prefix
        self.suffix = suffix
    }

    /// - Parameter isKnown: whether a token has this id.
    init(_ value: JSONValue, isKnown: (TokenID) -> Bool) throws(TokenizerError) {
        let type = try value.required("type")
        switch try type.string() {
        case "ByteLevel": break  // Changes offsets, never tokens.
        case "Sequence":
            for element in try value.required("processors").elements() {
                let inner = try PostProcessor(element, isKnown: isKnown)
                // The reference implementation cannot apply a template to what a template made.
                guard !hasTemplate || !inner.hasTemplate else { throw try element.required("type").unsupported() }
                if inner.hasTemplate { self = inner }
            }
        case "TemplateProcessing": try readTemplate(value, isKnown: isKnown)
        default: throw type.unsupported()
        }
    }

    /// Reads `single`, a list of special tokens around the one sequence A. (`pair` is for two texts at once.)
    private mutating func readTemplate(
        _ value: JSONValue, isKnown: (TokenID) -> Bool
    ) throws(TokenizerError) {
        let single = try value.required("single")
        var hasSequence = false
        guard single.count <= Self.greatestCount else { throw single.invalid(.unboundedGrowth) }
        for piece in try single.elements() {
            if let special = try piece.optional("SpecialToken") {
                let ids = try Self.specialTokens(named: special.required("id"), in: value, isKnown: isKnown)
                if hasSequence { suffix += ids } else { prefix += ids }
                guard prefix.count + suffix.count <= Self.greatestCount else { throw single.invalid(.unboundedGrowth) }
            } else {
                let name = try piece.required("Sequence").required("id")
                guard try name.string() == "A", !hasSequence else { throw name.unsupported() }
                hasSequence = true
            }
        }
        guard hasSequence else { throw single.unsupported() }
        hasTemplate = true
    }

    private static func specialTokens(
        named name: JSONValue, in template: JSONValue, isKnown: (TokenID) -> Bool
    ) throws(TokenizerError) -> [TokenID] {
        guard let value = try template.required("special_tokens").members()[name.string()] else {
            throw name.invalid(.unknownSpecialToken)
        }
        let list = try value.required("ids")
        guard list.count <= greatestCount else { throw list.invalid(.unboundedGrowth) }
        var ids: [TokenID] = []
        for element in try list.elements() {
            let id = TokenID(try element.integer(below: Int(TokenID.max), else: .idOutOfRange))
            guard isKnown(id) else { throw element.invalid(.unknownTokenID) }
            ids.append(id)
        }
        let names = try value.required("tokens")
        guard names.kind == .array else { throw names.wrongType(expected: "an array") }
        guard names.count == ids.count else { throw list.invalid(.mismatchedCounts) }
        return ids
    }
}
