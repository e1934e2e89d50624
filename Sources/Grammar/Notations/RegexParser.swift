/// Regular expressions in ECMAScript's syntax (with the `u` flag's escapes) to ``Expression``.
///
/// Groups of all kinds that only group, classes, quantifiers, `^` and `$`. Lazy quantifiers match the same texts as greedy ones.
/// Lookaround, back references, word boundaries and `\p` are refused.
struct RegexParser {
    private var reader: SourceReader
    private var nesting = 0
    private let nestingLimit: Int

    static func parse(_ pattern: String, limits: GrammarLimits) throws(GrammarError) -> Expression {
        guard pattern.utf8.count <= limits.sourceBytes else { throw .tooComplex(.sourceBytes) }
        var parser = RegexParser(reader: SourceReader(pattern, .regex), nestingLimit: limits.nesting)
        let expression = try parser.alternatives()
        guard parser.reader.peek == nil else { throw parser.reader.error("unmatched )") }
        return expression
    }

    private init(reader: SourceReader, nestingLimit: Int) {
        self.reader = reader
        self.nestingLimit = nestingLimit
    }

    private mutating func alternatives() throws(GrammarError) -> Expression {
        var choices = [try sequence()]
        while reader.take("|") { choices.append(try sequence()) }
        return choices.count == 1 ? choices[0] : .choice(choices)
    }

    private mutating func sequence() throws(GrammarError) -> Expression {
        var parts: [Expression] = []
        while let scalar = reader.peek, scalar != "|", scalar != ")" { parts.append(try quantified()) }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    private mutating func quantified() throws(GrammarError) -> Expression {
        let isAnchor = reader.peek == "^" || reader.peek == "$"
        let part = try atom()
        let bounds: (least: Int, most: Int?)
        switch reader.peek {
        case "*": bounds = (0, nil)
        case "+": bounds = (1, nil)
        case "?": bounds = (0, 1)
        case "{":
            _ = reader.next()
            guard reader.peek != "," else { throw reader.error("expected a number") }
            let counted = try reader.bounds()
            return try repeated(part, counted, isAnchor)
        default: return part
        }
        _ = reader.next()
        return try repeated(part, bounds, isAnchor)
    }

    private mutating func repeated(
        _ part: Expression, _ bounds: (least: Int, most: Int?), _ isAnchor: Bool
    ) throws(GrammarError) -> Expression {
        if isAnchor { throw reader.error("nothing to repeat") }
        _ = reader.take("?")
        if let scalar = reader.peek, ["*", "+", "?", "{"].contains(scalar) { throw reader.error("nothing to repeat") }
        return .repeated(part, least: bounds.least, most: bounds.most)
    }

    private mutating func atom() throws(GrammarError) -> Expression {
        guard let scalar = reader.next() else { return .empty }
        switch scalar {
        case "(": return try group()
        case "[": return .character(try characterClass())
        case ".": return .character(ScalarSet.lineEnds.complement)
        case "^": return .textStart
        case "$": return .textEnd
        case "\\": return .character(try escape(inClass: false))
        case "*", "+", "?", "{", "}", "]": throw reader.error("\(scalar) without a meaning here; write \\\(scalar)")
        default: return .character(ScalarSet(scalar))
        }
    }

    private mutating func group() throws(GrammarError) -> Expression {
        nesting += 1
        defer { nesting -= 1 }
        guard nesting <= nestingLimit else { throw .tooComplex(.nesting) }
        if reader.take("?") {
            if reader.take("<"), let scalar = reader.peek, scalar != "=", scalar != "!" {
                _ = reader.text { $0 != ">" && $0 != ")" }
                guard reader.take(">") else { throw reader.error("a group's name does not end") }
            } else if !reader.take(":") {
                throw reader.error("lookaround and flags cannot be enforced")
            }
        }
        let inner = try alternatives()
        guard reader.take(")") else { throw reader.error("missing )") }
        return inner
    }

    private mutating func characterClass() throws(GrammarError) -> ScalarSet {
        let isNegated = reader.take("^")
        var ranges: [ClosedRange<UInt32>] = []
        while !reader.take("]") {
            let low = try classMember()
            guard reader.peek == "-", let next = reader.peek(1), next != "]" else {
                ranges += low.ranges
                continue
            }
            _ = reader.next()
            let high = try classMember()
            guard let first = low.single, let last = high.single, first <= last else {
                throw reader.error("a range needs two characters in order")
            }
            ranges.append(first...last)
        }
        let set = ScalarSet(ranges)
        return isNegated ? set.complement : set
    }

    private mutating func classMember() throws(GrammarError) -> ScalarSet {
        guard let scalar = reader.next() else { throw reader.error("missing ]") }
        return scalar == "\\" ? try escape(inClass: true) : ScalarSet(scalar)
    }

    private mutating func escape(inClass: Bool) throws(GrammarError) -> ScalarSet {
        guard let scalar = reader.next() else { throw reader.error("\\ at the end") }
        switch scalar {
        case "d": return .digits
        case "D": return ScalarSet.digits.complement
        case "w": return .word
        case "W": return ScalarSet.word.complement
        case "s": return .space
        case "S": return ScalarSet.space.complement
        case "t": return ScalarSet("\t")
        case "n": return ScalarSet("\n")
        case "r": return ScalarSet("\r")
        case "f": return ScalarSet("\u{C}")
        case "v": return ScalarSet("\u{B}")
        case "b" where inClass: return ScalarSet("\u{8}")
        case "0":
            if let digit = reader.peek, ("0"..."9").contains(digit) { throw reader.error("octal escapes are not supported") }
            return ScalarSet("\u{0}")
        case "x": return ScalarSet(try reader.scalar(try reader.hexadecimal(2)))
        case "u": return ScalarSet(try reader.scalar(try unicodeEscape()))
        case "b", "B": throw reader.error("word boundaries cannot be enforced")
        case "p", "P": throw reader.error("\\\(scalar) is not supported; list the ranges instead")
        case "k", "1"..."9": throw reader.error("back references cannot be enforced")
        case "a"..."z", "A"..."Z": throw reader.error("unknown escape \\\(scalar)")
        default: return ScalarSet(scalar)
        }
    }

    /// `\uHHHH`, two of them as a surrogate pair, or `\u{H…}`.
    private mutating func unicodeEscape() throws(GrammarError) -> UInt32 {
        if reader.take("{") {
            let digits = reader.text { $0 != "}" }
            guard reader.take("}"), digits.utf8.count <= 8, let value = UInt32(digits, radix: 16) else {
                throw reader.error("malformed \\u{…}")
            }
            return value
        }
        let high = try reader.hexadecimal(4)
        guard (0xD800...0xDBFF).contains(high), reader.take(text: "\\u") else { return high }
        let low = try reader.hexadecimal(4)
        guard (0xDC00...0xDFFF).contains(low) else { throw reader.error("a surrogate without its partner") }
        return 0x10000 + (high - 0xD800) << 10 + (low - 0xDC00)
    }
}

extension ScalarSet {
    /// The one scalar of the set.
    fileprivate var single: UInt32? {
        guard ranges.count == 1, let range = ranges.first, range.count == 1 else { return nil }
        return range.lowerBound
    }
}
