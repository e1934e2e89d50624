/// Grammars in GBNF, the notation of llama.cpp: `name ::= alternatives`, literals in quotes, classes in brackets, `.`, groups,
/// `*`, `+`, `?` and `{m,n}`, comments behind `#`. The rule `root` is the answer.
struct GBNFParser {
    private var reader: SourceReader
    private var builder: AutomatonBuilder
    /// By name; the first to be named is `root`.
    private var rules: [String: Int] = [:]
    private var defined: Set<Int> = []
    private var nesting = 0

    static func automaton(_ source: String, limits: GrammarLimits) throws(GrammarError) -> Automaton {
        guard source.utf8.count <= limits.sourceBytes else { throw .tooComplex(.sourceBytes) }
        var parser = GBNFParser(reader: SourceReader(source, .grammar), builder: AutomatonBuilder(limits: limits))
        _ = try parser.rule("root")
        while try parser.definition() {}
        return try parser.builder.build()
    }

    private init(reader: SourceReader, builder: AutomatonBuilder) {
        self.reader = reader
        self.builder = builder
    }

    private mutating func rule(_ name: String) throws(GrammarError) -> Int {
        if let known = rules[name] { return known }
        let rule = try builder.declare(name)
        rules[name] = rule
        return rule
    }

    private static func isName(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "-", "_": true
        default: false
        }
    }

    /// White space and comments; line ends too, if a rule may go on behind them.
    private mutating func skipSpace(lines: Bool) {
        while let scalar = reader.peek {
            switch scalar {
            case " ", "\t": _ = reader.next()
            case "\r", "\n":
                guard lines else { return }
                _ = reader.next()
            case "#": reader.skip { $0 != "\n" && $0 != "\r" }
            default: return
            }
        }
    }

    /// - Returns: false at the end of the source.
    private mutating func definition() throws(GrammarError) -> Bool {
        skipSpace(lines: true)
        guard reader.peek != nil else { return false }
        let name = reader.text(while: Self.isName)
        guard !name.isEmpty else { throw reader.error("expected the name of a rule") }
        skipSpace(lines: false)
        guard reader.take(text: "::=") else { throw reader.error("expected ::=") }
        let rule = try rule(name)
        guard defined.insert(rule).inserted else { throw reader.error("rule \(name) is defined twice") }
        skipSpace(lines: true)
        let expression = try alternatives()
        guard reader.peek == nil || reader.peek == "\n" || reader.peek == "\r" else { throw reader.error("expected the end of a rule") }
        try builder.define(rule, expression)
        return true
    }

    private mutating func alternatives() throws(GrammarError) -> Expression {
        var choices = [try sequence()]
        while reader.take("|") {
            skipSpace(lines: true)
            choices.append(try sequence())
        }
        return choices.count == 1 ? choices[0] : .choice(choices)
    }

    private mutating func sequence() throws(GrammarError) -> Expression {
        var parts: [Expression] = []
        while let part = try element() {
            parts.append(try quantified(part))
            // In parentheses, a sequence goes on behind a line's end.
            skipSpace(lines: nesting > 0)
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    private mutating func quantified(_ part: Expression) throws(GrammarError) -> Expression {
        var part = part
        while true {
            switch reader.peek {
            case "*": part = .repeated(part, least: 0, most: nil)
            case "+": part = .repeated(part, least: 1, most: nil)
            case "?": part = .repeated(part, least: 0, most: 1)
            case "{":
                _ = reader.next()
                let bounds = try reader.bounds()
                part = .repeated(part, least: bounds.least, most: bounds.most)
                try countQuantifier()
                continue
            default: return part
            }
            _ = reader.next()
            try countQuantifier()
        }
    }

    /// Expressions nest with each quantifier, and are read by recursion.
    private mutating func countQuantifier() throws(GrammarError) {
        if let scalar = reader.peek, ["*", "+", "?", "{"].contains(scalar) {
            throw reader.error("one quantifier behind another; use parentheses")
        }
    }

    private mutating func element() throws(GrammarError) -> Expression? {
        guard let scalar = reader.peek else { return nil }
        switch scalar {
        case "\"":
            _ = reader.next()
            return .text(try literal())
        case "[":
            _ = reader.next()
            return .character(try characterClass())
        case ".":
            _ = reader.next()
            return .character(.all)
        case "(": return try group()
        case let scalar where Self.isName(scalar): return .call(try rule(reader.text(while: Self.isName)))
        default: return nil
        }
    }

    private mutating func group() throws(GrammarError) -> Expression {
        _ = reader.next()
        nesting += 1
        defer { nesting -= 1 }
        guard nesting <= builder.budget.limits.nesting else { throw .tooComplex(.nesting) }
        skipSpace(lines: true)
        let inner = try alternatives()
        skipSpace(lines: true)
        guard reader.take(")") else { throw reader.error("expected )") }
        return inner
    }

    private mutating func literal() throws(GrammarError) -> String {
        var text = String.UnicodeScalarView()
        while !reader.take("\"") { text.append(try character()) }
        return String(text)
    }

    private mutating func characterClass() throws(GrammarError) -> ScalarSet {
        let isNegated = reader.take("^")
        var ranges: [ClosedRange<UInt32>] = []
        while !reader.take("]") {
            let low = try character()
            guard reader.peek == "-", let next = reader.peek(1), next != "]" else {
                ranges.append(low.value...low.value)
                continue
            }
            _ = reader.next()
            let high = try character()
            guard low <= high else { throw reader.error("a range needs two characters in order") }
            ranges.append(low.value...high.value)
        }
        let set = ScalarSet(ranges)
        return isNegated ? set.complement : set
    }

    /// One character of a literal or class.
    private mutating func character() throws(GrammarError) -> Unicode.Scalar {
        guard let scalar = reader.next(), scalar != "\n", scalar != "\r" else { throw reader.error("a literal or class does not end") }
        guard scalar == "\\" else { return scalar }
        switch reader.next() {
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "x": return try reader.scalar(try reader.hexadecimal(2))
        case "u": return try reader.scalar(try reader.hexadecimal(4))
        case "U": return try reader.scalar(try reader.hexadecimal(8))
        case let escaped? where ["\\", "\"", "[", "]", "-", "^"].contains(escaped): return escaped
        default: throw reader.error("unknown escape")
        }
    }
}
