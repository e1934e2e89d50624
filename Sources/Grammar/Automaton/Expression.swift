/// A language over characters, bytes and rules, as parsers write it down.
indirect enum Expression: Sendable, Hashable {
    /// The empty text.
    case empty
    /// No text at all.
    case never
    /// One character.
    case character(ScalarSet)
    case bytes([UInt8])
    case sequence([Expression])
    case choice([Expression])
    /// At least `least` times, and at most `most`; `nil`: without end.
    case repeated(Expression, least: Int, most: Int?)
    /// What the rule with that number derives.
    case call(Int)
    /// What an automaton without calls accepts.
    case automaton(RuleAutomaton)
    /// Nothing, at the beginning or at the end of the text only; see ``RuleGraph/determinized(isNullable:_:)``.
    case textStart, textEnd

    static func text(_ text: String) -> Expression { .bytes(Array(text.utf8)) }
    static func optional(_ expression: Expression) -> Expression { .repeated(expression, least: 0, most: 1) }
    static func range(_ low: Unicode.Scalar, _ high: Unicode.Scalar) -> Expression {
        .character(ScalarSet([low.value...high.value]))
    }
}

/// How a character is spelled in bytes.
enum CharacterEncoding: Sendable {
    case utf8
    /// As in a JSON string, each character in one way only: what needs no escape has none, and short escapes go before long
    /// ones. So two strings are equal just where their spellings are.
    case jsonString

    /// - Returns: sequences of byte ranges; each character of the set is spelled by exactly one of them.
    func spellings(of set: ScalarSet) -> [[ClosedRange<UInt8>]] {
        switch self {
        case .utf8: return set.ranges.flatMap(UTF8Ranges.sequences)
        case .jsonString:
            let plain = set.subtracting(JSONText.escaped).ranges.flatMap(UTF8Ranges.sequences)
            return plain + JSONText.escapes.filter { set.contains($0.scalar) }.map { $0.spelling.map { $0...$0 } }
        }
    }
}

/// How JSON writes strings.
enum JSONText {
    /// Characters that stand in no string as they are.
    static let escaped = ScalarSet([0...0x1F, 0x22...0x22, 0x5C...0x5C])

    static let escapes: [(scalar: Unicode.Scalar, spelling: [UInt8])] = escaped.ranges.flatMap { Array($0) }.compactMap { value in
        Unicode.Scalar(value).map { ($0, Array(escape($0).utf8)) }
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\"": return "\\\""
        case "\\": return "\\\\"
        case "\u{8}": return "\\b"
        case "\u{9}": return "\\t"
        case "\u{A}": return "\\n"
        case "\u{C}": return "\\f"
        case "\u{D}": return "\\r"
        default:
            let digits = String(scalar.value, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
    }

    /// The content of a string as ``CharacterEncoding/jsonString`` spells it.
    static func content(_ text: String) -> [UInt8] {
        text.unicodeScalars.flatMap { scalar in
            escaped.contains(scalar) ? Array(escape(scalar).utf8) : Array(String(scalar).utf8)
        }
    }

    /// With its quotes.
    static func string(_ text: String) -> [UInt8] { [0x22] + content(text) + [0x22] }

    /// One character of a string in any of its spellings, surrogates in pairs.
    static let anyCharacter: Expression = {
        let hex = Expression.character(ScalarSet(characters: "0123456789abcdefABCDEF"))
        func set(_ characters: String) -> Expression { .character(ScalarSet(characters: characters)) }
        let single = Expression.choice([
            .sequence([set("0123456789abcefABCEF"), hex, hex, hex]), .sequence([set("dD"), set("01234567"), hex, hex]),
        ])
        let pair = Expression.sequence([
            set("dD"), set("89abAB"), hex, hex, .text("\\u"), set("dD"), set("cdefCDEF"), hex, hex,
        ])
        return .choice([
            .character(escaped.complement),
            .sequence([.text("\\"), .choice([set("\"\\/bfnrt"), .sequence([.text("u"), .choice([single, pair])])])]),
        ])
    }()
}
