/// Reads the source of a constraint, scalar by scalar, and knows where it is for errors.
struct SourceReader {
    private let scalars: [Unicode.Scalar]
    private(set) var position = 0
    private let kind: GrammarError.Source

    init(_ text: String, _ kind: GrammarError.Source) {
        scalars = Array(text.unicodeScalars)
        self.kind = kind
    }

    var peek: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    func peek(_ distance: Int) -> Unicode.Scalar? {
        position + distance < scalars.count ? scalars[position + distance] : nil
    }

    mutating func next() -> Unicode.Scalar? {
        guard let scalar = peek else { return nil }
        position += 1
        return scalar
    }

    /// Takes `scalar` if it comes next.
    mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == scalar else { return false }
        position += 1
        return true
    }

    /// Takes all of `text` if it comes next.
    mutating func take(text: String) -> Bool {
        for (distance, scalar) in text.unicodeScalars.enumerated() where peek(distance) != scalar { return false }
        position += text.unicodeScalars.count
        return true
    }

    mutating func skip(while condition: (Unicode.Scalar) -> Bool) {
        while let scalar = peek, condition(scalar) { position += 1 }
    }

    mutating func text(while condition: (Unicode.Scalar) -> Bool) -> String {
        var text = String.UnicodeScalarView()
        while let scalar = peek, condition(scalar) {
            text.append(scalar)
            position += 1
        }
        return String(text)
    }

    func error(_ problem: String) -> GrammarError {
        .syntax(source: kind, offset: scalars[..<position].reduce(0) { $0 + $1.utf8.count }, problem)
    }

    // MARK: What both notations write alike

    /// Exactly `count` hexadecimal digits.
    mutating func hexadecimal(_ count: Int) throws(GrammarError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let digit = next(), digit.isASCII, let number = Character(digit).hexDigitValue else {
                throw error("expected \(count) hexadecimal digits")
            }
            value = value << 4 | UInt32(number)
        }
        return value
    }

    /// A decimal number, if there is one.
    mutating func number() throws(GrammarError) -> Int? {
        let digits = text { ("0"..."9").contains($0) }
        if digits.isEmpty { return nil }
        guard let number = Int(digits), number <= 1 << 20 else { throw error("the number \(digits.prefix(20)) is too large") }
        return number
    }

    func scalar(_ value: UInt32) throws(GrammarError) -> Unicode.Scalar {
        guard let scalar = Unicode.Scalar(value) else { throw error("no character has the number \(value)") }
        return scalar
    }

    /// `{least}`, `{least,}` or `{least,most}`, behind the opening brace; with `{,most}` least is 0.
    mutating func bounds() throws(GrammarError) -> (least: Int, most: Int?) {
        let least = try number()
        if take("}") {
            guard let least else { throw error("expected a number") }
            return (least, least)
        }
        guard take(",") else { throw error("expected , or } behind a number of repetitions") }
        let most = try number()
        guard take("}") else { throw error("expected } behind a number of repetitions") }
        if let most, let least, most < least { throw error("repetitions from \(least) to \(most)") }
        guard least != nil || most != nil else { throw error("expected a number") }
        return (least ?? 0, most)
    }
}
