/// Splits a template into tokens as Jinja does with `trim_blocks` and `lstrip_blocks`: the newline after a block tag or comment
/// goes, and so does the blank start of a line in front of one; `-` takes all white space on its side, `+` keeps it.
struct Lexer {
    private let source: [UInt8]
    private var position = 0
    private var tokens: [Token] = []

    /// - Parameter source: with `\n` for every line break and without the last one.
    static func tokens(of source: [UInt8]) throws(Fault) -> [Token] {
        var lexer = Lexer(source: source)
        try lexer.lexTemplate()
        lexer.tokens.append(Token(kind: .end, offset: source.count))
        return lexer.tokens
    }

    private init(source: [UInt8]) { self.source = source }

    private func has(_ text: StaticString, at index: Int) -> Bool {
        let count = text.utf8CodeUnitCount
        guard index + count <= source.count else { return false }
        return (0..<count).allSatisfy { source[index + $0] == text.utf8Start[$0] }
    }

    // MARK: Outside of tags

    private mutating func lexTemplate() throws(Fault) {
        while position < source.count {
            guard let open = nextOpening() else {
                tokens.append(Token(kind: .data(Text(bytes: source[position...])), offset: position))
                return
            }
            let sign = open + 2 < source.count ? source[open + 2] : 0
            let isSigned = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+")
            let kind = source[open + 1]
            addText(upTo: open, sign: isSigned ? sign : nil, stripsLine: kind != UInt8(ascii: "{"))
            position = open + (isSigned ? 3 : 2)
            switch kind {
            case UInt8(ascii: "#"): try skipComment(from: open)
            case UInt8(ascii: "{"): try lexTag(.variableBegin, .variableEnd, from: open)
            default:
                if let start = endOfRawTag() {
                    position = start
                    try lexRaw(from: open)
                } else {
                    try lexTag(.blockBegin, .blockEnd, from: open)
                }
            }
        }
    }

    private func nextOpening() -> Int? {
        var index = position
        while index + 1 < source.count {
            if source[index] == UInt8(ascii: "{") {
                let next = source[index + 1]
                if next == UInt8(ascii: "{") || next == UInt8(ascii: "%") || next == UInt8(ascii: "#") { return index }
            }
            index += 1
        }
        return nil
    }

    /// The text before a tag, without what the tag strips of it.
    private mutating func addText(upTo end: Int, sign: UInt8?, stripsLine: Bool) {
        var kept = end
        if sign == UInt8(ascii: "-") {
            kept = WhiteSpace.start(in: source, position..<end)
        } else if sign == nil, stripsLine {
            let newline = source[position..<end].lastIndex(of: UInt8(ascii: "\n"))
            let isAtLineStart = newline != nil || position == 0 || source[position - 1] == UInt8(ascii: "\n")
            let lineStart = newline.map { $0 + 1 } ?? position
            if isAtLineStart, WhiteSpace.end(in: source, from: lineStart) >= end { kept = lineStart }
        }
        guard kept > position else { return }
        tokens.append(Token(kind: .data(Text(bytes: source[position..<kept])), offset: position))
    }

    /// The index after `%}` in its three forms at `index`, if one stands there.
    private func endOfTag(_ close: StaticString, at index: Int, trimsNewline: Bool) -> Int? {
        guard index < source.count else { return nil }
        if source[index] == UInt8(ascii: "-"), has(close, at: index + 1) { return WhiteSpace.end(in: source, from: index + 3) }
        if trimsNewline, source[index] == UInt8(ascii: "+"), has(close, at: index + 1) { return index + 3 }
        guard has(close, at: index) else { return nil }
        return trimsNewline && index + 2 < source.count && source[index + 2] == UInt8(ascii: "\n") ? index + 3 : index + 2
    }

    private mutating func skipComment(from open: Int) throws(Fault) {
        var index = position
        while index < source.count {
            if let end = endOfTag("#}", at: index, trimsNewline: true) {
                position = end
                return
            }
            index += 1
        }
        throw Fault(.syntax, "missing end of comment tag", at: open)
    }

    /// After `{%` and its sign: the index after `raw %}`, if that stands there. The newline behind it is part of the text.
    private func endOfRawTag() -> Int? {
        var index = WhiteSpace.end(in: source, from: position)
        guard has("raw", at: index) else { return nil }
        index = WhiteSpace.end(in: source, from: index + 3)
        if has("-%}", at: index) { return WhiteSpace.end(in: source, from: index + 3) }
        return has("%}", at: index) ? index + 2 : nil
    }

    private mutating func lexRaw(from open: Int) throws(Fault) {
        var index = position
        while index < source.count {
            if has("{%", at: index) {
                var inner = index + 2
                let sign = inner < source.count ? source[inner] : 0
                let isSigned = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+")
                if isSigned { inner += 1 }
                inner = WhiteSpace.end(in: source, from: inner)
                if has("endraw", at: inner),
                    let end = endOfTag("%}", at: WhiteSpace.end(in: source, from: inner + 6), trimsNewline: true) {
                    addText(upTo: index, sign: isSigned ? sign : nil, stripsLine: true)
                    position = end
                    return
                }
            }
            index += 1
        }
        throw Fault(.syntax, "missing end of raw directive", at: open)
    }

    // MARK: Inside of tags

    private mutating func lexTag(_ begin: Token.Kind, _ end: Token.Kind, from open: Int) throws(Fault) {
        tokens.append(Token(kind: begin, offset: open))
        let isBlock = begin == .blockBegin
        var brackets: [Token.Symbol] = []
        while position < source.count {
            if brackets.isEmpty, let after = endOfTag(isBlock ? "%}" : "}}", at: position, trimsNewline: isBlock) {
                tokens.append(Token(kind: end, offset: position))
                position = after
                return
            }
            let start = WhiteSpace.end(in: source, from: position)
            if start > position { position = start } else { try lexToken(&brackets) }
        }
        throw Fault(.syntax, "this tag is never closed", at: open)
    }

    private mutating func lexToken(_ brackets: inout [Token.Symbol]) throws(Fault) {
        let byte = source[position]
        if byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") {
            try lexNumber()
        } else if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
            try lexString(quote: byte)
        } else if byte == UInt8(ascii: "_") || byte >= 0x80 || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A) {
            try lexName()
        } else {
            try lexSymbol(&brackets)
        }
    }

    private mutating func lexName() throws(Fault) {
        let start = position
        while position < source.count {
            let byte = source[position]
            guard byte == UInt8(ascii: "_") || byte >= 0x80 || (byte >= 0x30 && byte <= 0x39)
                || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A), byte < 0x80 || WhiteSpace.width(in: source, at: position) == 0
            else { break }
            position += Text.width(ofLead: byte)
        }
        let name = String(decoding: source[start..<min(position, source.count)], as: UTF8.self)
        for (index, scalar) in name.unicodeScalars.enumerated() {
            let isAllowed = index == 0 ? scalar.properties.isXIDStart || scalar == "_" : scalar.properties.isXIDContinue
            guard isAllowed else { throw Fault(.syntax, "unexpected character '\(scalar)'", at: start) }
        }
        tokens.append(Token(kind: .name(name), offset: start))
    }

    private mutating func lexSymbol(_ brackets: inout [Token.Symbol]) throws(Fault) {
        let start = position
        let symbol = [2, 1].lazy.compactMap { [source] count in
            Token.Symbol(rawValue: String(decoding: source[start..<min(start + count, source.count)], as: UTF8.self))
        }.first
        guard let symbol else {
            throw Fault(.syntax, "unexpected character '\(Text(bytes: source[start...]).scalarText(at: 0).string)'", at: start)
        }
        switch symbol {
        case .openBrace: brackets.append(.closeBrace)
        case .openBracket: brackets.append(.closeBracket)
        case .openParenthesis: brackets.append(.closeParenthesis)
        case .closeBrace, .closeBracket, .closeParenthesis:
            let expected = brackets.popLast()
            guard expected == symbol else {
                let hint = expected.map { ", expected '\($0.rawValue)'" } ?? ""
                throw Fault(.syntax, "unexpected '\(symbol.rawValue)'\(hint)", at: start)
            }
        default: break
        }
        position += symbol.rawValue.utf8.count
        tokens.append(Token(kind: .symbol(symbol), offset: start))
    }
}

// MARK: Numbers and strings

extension Lexer {
    /// The index after digits of `radix` at `index`, which single underscores may separate.
    private func endOfDigits(from index: Int, radix: Int = 10) -> Int {
        func isDigit(_ index: Int) -> Bool {
            guard index < source.count, let value = Character(Unicode.Scalar(source[index])).hexDigitValue else { return false }
            return value < radix
        }
        var end = index
        while isDigit(end) || (end > index && end < source.count && source[end] == UInt8(ascii: "_") && isDigit(end + 1)) { end += 1 }
        return end
    }

    private func digits(_ range: Range<Int>) -> String {
        String(decoding: source[range].filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
    }

    private mutating func lexNumber() throws(Fault) {
        let start = position
        if source[start] == UInt8(ascii: "0"), start + 1 < source.count,
            let radix = [UInt8(ascii: "x"): 16, UInt8(ascii: "o"): 8, UInt8(ascii: "b"): 2][source[start + 1] | 0x20] {
            let first = start + 2 < source.count && source[start + 2] == UInt8(ascii: "_") ? start + 3 : start + 2
            let end = endOfDigits(from: first, radix: radix)
            if end > first { return try addInteger(digits(first..<end), radix: radix, from: start, to: end) }
        }
        let whole = endOfDigits(from: start)
        var end = whole
        // Behind a dot a number is an index: `a.0.1`.
        if start == 0 || source[start - 1] != UInt8(ascii: ".") {
            if end + 1 < source.count, source[end] == UInt8(ascii: "."), endOfDigits(from: end + 1) > end + 1 {
                end = endOfDigits(from: end + 1)
            }
            if end < source.count, source[end] | 0x20 == UInt8(ascii: "e") {
                let isSigned = end + 1 < source.count && [UInt8(ascii: "+"), UInt8(ascii: "-")].contains(source[end + 1])
                let exponent = end + (isSigned ? 2 : 1)
                if endOfDigits(from: exponent) > exponent { end = endOfDigits(from: exponent) }
            }
        }
        if end > whole {
            guard let value = Double(digits(start..<end)) else { throw Fault(.syntax, "malformed number", at: start) }
            position = end
            return tokens.append(Token(kind: .float(value), offset: start))
        }
        // A number other than zero does not begin with one.
        if source[start] == UInt8(ascii: "0") {
            end = start + 1
            while end < whole, source[end] == UInt8(ascii: "0") || source[end] == UInt8(ascii: "_") { end += 1 }
        }
        try addInteger(digits(start..<end), radix: 10, from: start, to: end)
    }

    private mutating func addInteger(_ digits: String, radix: Int, from start: Int, to end: Int) throws(Fault) {
        guard let value = Int(digits, radix: radix) else { throw Fault(.unsupported, "integer of more than 64 bits", at: start) }
        position = end
        tokens.append(Token(kind: .integer(value), offset: start))
    }

    private mutating func lexString(quote: UInt8) throws(Fault) {
        let start = position
        var content: [UInt8] = []
        position += 1
        while position < source.count, source[position] != quote {
            if source[position] == UInt8(ascii: "\\") {
                try lexEscape(into: &content)
            } else {
                content.append(source[position])
                position += 1
            }
        }
        guard position < source.count else { throw Fault(.syntax, "this string is never closed", at: start) }
        position += 1
        tokens.append(Token(kind: .string(Text(bytes: content)), offset: start))
    }

    /// Python's escapes; a backslash before anything else stays.
    private mutating func lexEscape(into content: inout [UInt8]) throws(Fault) {
        let start = position
        guard start + 1 < source.count else { throw Fault(.syntax, "this string is never closed", at: start) }
        let simple: [UInt8: UInt8] = [
            UInt8(ascii: "n"): 0x0A, UInt8(ascii: "t"): 0x09, UInt8(ascii: "r"): 0x0D, UInt8(ascii: "a"): 0x07, UInt8(ascii: "b"): 0x08,
            UInt8(ascii: "f"): 0x0C, UInt8(ascii: "v"): 0x0B, UInt8(ascii: "\\"): 0x5C, UInt8(ascii: "'"): 0x27, UInt8(ascii: "\""): 0x22,
        ]
        let escaped = source[start + 1]
        position += 2
        if let byte = simple[escaped] { return content.append(byte) }
        switch escaped {
        case UInt8(ascii: "\n"): return
        case UInt8(ascii: "x"): try addScalar(digits: 2, from: start, into: &content)
        case UInt8(ascii: "u"): try addScalar(digits: 4, from: start, into: &content)
        case UInt8(ascii: "U"): try addScalar(digits: 8, from: start, into: &content)
        case UInt8(ascii: "N"): throw Fault(.unsupported, "characters by name in strings", at: start)
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            var value = UInt32(escaped - 0x30)
            for _ in 0..<2 where position < source.count && (0x30...0x37).contains(source[position]) {
                value = value * 8 + UInt32(source[position] - 0x30)
                position += 1
            }
            Unicode.Scalar(value).map { content += Array(String(Character($0)).utf8) }
        default: content += [UInt8(ascii: "\\"), escaped]
        }
    }

    private mutating func addScalar(digits count: Int, from start: Int, into content: inout [UInt8]) throws(Fault) {
        let end = min(position + count, source.count)
        let digits = source[position..<end]
        guard digits.count == count, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw Fault(.syntax, "truncated escape in a string", at: start) }
        guard let scalar = Unicode.Scalar(value) else {
            throw Fault(.unsupported, "escape in a string that is no Unicode scalar", at: start)
        }
        content += Array(String(Character(scalar)).utf8)
        position = end
    }
}
