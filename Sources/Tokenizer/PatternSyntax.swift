/// Rewrites a pattern in the syntax that `tokenizer.json` files use (Oniguruma's, in its Ruby flavour) for PCRE2.
///
/// The two agree on most of what split patterns need. Where they differ in silence, the construct is translated
/// (`\s` is White_Space here, and PCRE2's also takes U+180E) or refused. Anything not known to mean the same in both
/// is refused too: a pattern that splits differently would give other tokens without anyone noticing.
struct PatternSyntax {
    /// A construct that has no translation.
    struct Unsupported: Error {
        let construct: String
    }

    private static let whiteSpace = #"\t-\r\x{85}\p{Z}"#
    private static let generalCategories: Set<String> = [
        "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps", "Pe",
        "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Co",
    ]
    private static let groupOpenings = ["(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"]

    private let input: [Character]
    private var position = 0
    private var output = ""

    static func translate(_ pattern: String) throws(Unsupported) -> String {
        // One character per scalar: a combining mark in a pattern is an item of its own.
        var syntax = PatternSyntax(input: pattern.unicodeScalars.map(Character.init))
        return try syntax.translate()
    }

    private init(input: [Character]) {
        self.input = input
    }

    private mutating func translate() throws(Unsupported) -> String {
        // At the very start both read the flag as covering the whole pattern.
        if rest(startsWith: "(?i)") { take("(?i)") }
        while position < input.count {
            switch input[position] {
            case "\\": try translateEscape(inClass: false)
            case "[": try translateClass()
            case "(": try translateGroup()
            case "{": try translateBounds()
            default: takeOne()
            }
        }
        return output
    }

    private func rest(startsWith text: String) -> Bool {
        input[position...].starts(with: text)
    }

    private mutating func take(_ text: String) {
        output += text
        position += text.count
    }

    private mutating func takeOne() {
        output.append(input[position])
        position += 1
    }

    private mutating func translateGroup() throws(Unsupported) {
        if let opening = Self.groupOpenings.first(where: { rest(startsWith: $0) }) {
            return take(opening)
        }
        if rest(startsWith: "(?") || rest(startsWith: "(*") {
            throw Unsupported(construct: String(input[position..<min(position + 4, input.count)]))
        }
        takeOne()
    }

    /// `{n}`, `{n,}` and `{n,m}`; followed by `+` or, for `{n}`, by `?`, the two syntaxes disagree.
    private mutating func translateBounds() throws(Unsupported) {
        guard let close = input[position...].firstIndex(of: "}") else { throw Unsupported(construct: "{") }
        let bounds = input[position + 1..<close]
        let parts = bounds.split(separator: ",", omittingEmptySubsequences: false)
        let next = close + 1 < input.count ? input[close + 1] : " "
        let isPlain = parts.count <= 2 && parts.first?.isEmpty == false && parts.joined().allSatisfy { ("0"..."9").contains($0) }
        guard isPlain, next != "+", !(parts.count == 1 && next == "?") else {
            throw Unsupported(construct: String(input[position...min(close + 1, input.count - 1)]))
        }
        take(String(input[position...close]))
    }

    private mutating func translateClass() throws(Unsupported) {
        let start = position
        takeOne()
        if rest(startsWith: "^") { takeOne() }
        if rest(startsWith: "]") { throw Unsupported(construct: "[]") }
        while position < input.count {
            if rest(startsWith: "&&") { throw Unsupported(construct: "&&") }
            switch input[position] {
            case "]": return takeOne()
            case "[": throw Unsupported(construct: "[ in a class")
            case "\\": try translateEscape(inClass: true)
            default: takeOne()
            }
        }
        throw Unsupported(construct: String(input[start...]))
    }

    private mutating func translateEscape(inClass: Bool) throws(Unsupported) {
        guard position + 1 < input.count else { throw Unsupported(construct: "\\") }
        let escaped = input[position + 1]
        let construct = "\\\(escaped)"
        switch escaped {
        case "n", "r", "t", "f": return take(construct)
        case "p", "P": return try translateProperty()
        case "x", "u": return try translateCodePoint()
        case "d": output += #"\p{Nd}"#
        case "D": output += #"\P{Nd}"#
        case "s": output += inClass ? Self.whiteSpace : "[\(Self.whiteSpace)]"
        case "S" where !inClass: output += "[^\(Self.whiteSpace)]"
        case _ where escaped.isASCII && (escaped.isPunctuation || escaped.isSymbol || escaped == " "): output += construct
        default: throw Unsupported(construct: construct)
        }
        position += 2
    }

    private mutating func translateProperty() throws(Unsupported) {
        let construct = String(input[position..<min(position + 6, input.count)])
        guard let close = construct.firstIndex(of: "}"), construct.dropFirst(2).first == "{" else {
            throw Unsupported(construct: construct)
        }
        let name = construct.prefix(upTo: close).dropFirst(3)
        guard Self.generalCategories.contains(String(name)) else { throw Unsupported(construct: construct) }
        take(String(construct.prefix(through: close)))
    }

    /// `\x{H…}`, `\xHH` below 80 (above, Oniguruma reads a byte, not a character) and `\uHHHH`.
    private mutating func translateCodePoint() throws(Unsupported) {
        let construct = String(input[position..<min(position + 10, input.count)])
        let isBraced = construct.hasPrefix(#"\x{"#) && construct.contains("}")
        let isByte = !isBraced && construct.hasPrefix(#"\x"#)
        let digits = isBraced ? construct.dropFirst(3).prefix { $0 != "}" } : construct.dropFirst(2).prefix(isByte ? 2 : 4)
        guard digits.allSatisfy({ $0.isASCII && $0.isHexDigit }), let value = UInt32(digits, radix: 16),
            Unicode.Scalar(value) != nil, isBraced || digits.count == (isByte ? 2 : 4), !isByte || value < 0x80
        else { throw Unsupported(construct: construct) }
        output += "\\x{\(String(value, radix: 16))}"
        position += digits.count + (isBraced ? 4 : 2)
    }
}
