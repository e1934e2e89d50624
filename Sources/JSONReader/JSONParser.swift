/// Builds the nodes of a ``JSONDocument``; accepts exactly RFC 8259, but for the limit on depth.
struct JSONParser {
    private let source: [UInt8]
    private var position = 0
    private(set) var nodes: [JSONDocument.Node] = []
    private(set) var unescaped: [UInt8] = []

    init(source: [UInt8]) { self.source = source }

    mutating func parseDocument() throws(JSONError) {
        do {
            _ = try UTF8Span(validating: source.span)
        } catch {
            position = error.byteOffsets.lowerBound
            throw problem(.invalidUTF8)
        }
        nodes.reserveCapacity(greatestNodeCount())
        skipWhitespace()
        try parseValue(depth: 0)
        skipWhitespace()
        guard position == source.count else { throw problem(.trailingBytes) }
    }

    /// Every node but the root follows a bracket, comma or colon. Growing step by step would take up to three times
    /// the memory for a moment.
    private func greatestNodeCount() -> Int {
        var count = 1
        var isInString = false
        var isEscaped = false
        for byte in source {
            if isInString {
                if isEscaped { isEscaped = false } else if byte == UInt8(ascii: "\\") { isEscaped = true }
                else if byte == UInt8(ascii: "\"") { isInString = false }
            } else {
                switch byte {
                case UInt8(ascii: "\""): isInString = true
                case UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "{"): count += 1
                default: break
                }
            }
        }
        return count
    }

    private func problem(_ problem: JSONError.Problem) -> JSONError { .malformed(offset: position, problem) }

    private func peek() throws(JSONError) -> UInt8 {
        guard position < source.count else { throw problem(.unexpectedEnd) }
        return source[position]
    }

    private mutating func skipWhitespace() {
        while position < source.count {
            switch source[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    private mutating func parseValue(depth: Int) throws(JSONError) {
        switch try peek() {
        case UInt8(ascii: "{"): try parseContainer(.object, closedBy: UInt8(ascii: "}"), depth: depth)
        case UInt8(ascii: "["): try parseContainer(.array, closedBy: UInt8(ascii: "]"), depth: depth)
        case UInt8(ascii: "\""): try parseString()
        case UInt8(ascii: "t"): try parseLiteral("true", .true)
        case UInt8(ascii: "f"): try parseLiteral("false", .false)
        case UInt8(ascii: "n"): try parseLiteral("null", .null)
        default: try parseNumber()
        }
    }

    private mutating func parseContainer(_ kind: JSONValue.Kind, closedBy close: UInt8, depth: Int) throws(JSONError) {
        guard depth < JSONDocument.greatestDepth else { throw problem(.tooDeep) }
        let index = nodes.count
        nodes.append(.init(kind: kind))
        position += 1
        skipWhitespace()
        var count: UInt32 = 0
        if try peek() == close {
            position += 1
        } else {
            while true {
                if kind == .object { try parseKey() }
                try parseValue(depth: depth + 1)
                count += 1
                skipWhitespace()
                let byte = try peek()
                guard byte == close || byte == UInt8(ascii: ",") else { throw problem(.unexpectedByte) }
                position += 1
                if byte == close { break }
                skipWhitespace()
            }
        }
        nodes[index].count = count
        nodes[index].startOrEnd = UInt32(nodes.count)
    }

    private mutating func parseKey() throws(JSONError) {
        guard try peek() == UInt8(ascii: "\"") else { throw problem(.unexpectedByte) }
        try parseString()
        skipWhitespace()
        guard try peek() == UInt8(ascii: ":") else { throw problem(.unexpectedByte) }
        position += 1
        skipWhitespace()
    }

    private mutating func parseLiteral(_ text: StaticString, _ kind: JSONValue.Kind) throws(JSONError) {
        for offset in 0..<text.utf8CodeUnitCount {
            guard try peek() == text.utf8Start[offset] else { throw problem(.unexpectedByte) }
            position += 1
        }
        nodes.append(.init(kind: kind))
    }

    // MARK: Numbers

    private mutating func parseNumber() throws(JSONError) {
        let start = position
        if try peek() == UInt8(ascii: "-") { position += 1 }
        guard position < source.count, isDigit(source[position]) else {
            throw problem(position == start ? .unexpectedByte : .invalidNumber)
        }
        if source[position] == UInt8(ascii: "0") { position += 1 } else { skipDigits() }
        if position < source.count, source[position] == UInt8(ascii: ".") {
            position += 1
            try requireDigits()
        }
        if position < source.count, source[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < source.count, [UInt8(ascii: "+"), UInt8(ascii: "-")].contains(source[position]) { position += 1 }
            try requireDigits()
        }
        nodes.append(.init(kind: .number, startOrEnd: UInt32(start), count: UInt32(position - start)))
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private mutating func skipDigits() {
        while position < source.count, isDigit(source[position]) { position += 1 }
    }

    private mutating func requireDigits() throws(JSONError) {
        guard position < source.count, isDigit(source[position]) else { throw problem(.invalidNumber) }
        skipDigits()
    }

    // MARK: Strings

    private mutating func parseString() throws(JSONError) {
        position += 1
        let start = position
        while true {
            let byte = try peek()
            if byte == UInt8(ascii: "\"") { break }
            if byte == UInt8(ascii: "\\") { return try parseEscapedString(from: start) }
            guard byte >= 0x20 else { throw problem(.controlCharacter) }
            position += 1
        }
        nodes.append(.init(kind: .string, startOrEnd: UInt32(start), count: UInt32(position - start)))
        position += 1
    }

    private mutating func parseEscapedString(from start: Int) throws(JSONError) {
        let target = unescaped.count
        unescaped.append(contentsOf: source[start..<position])
        while true {
            let byte = try peek()
            guard byte >= 0x20 else { throw problem(.controlCharacter) }
            if byte == UInt8(ascii: "\"") { break }
            if byte == UInt8(ascii: "\\") {
                try parseEscape()
            } else {
                unescaped.append(byte)
                position += 1
            }
        }
        nodes.append(.init(
            kind: .string, isUnescaped: true, startOrEnd: UInt32(target), count: UInt32(unescaped.count - target)))
        position += 1
    }

    private mutating func parseEscape() throws(JSONError) {
        position += 1
        let byte = try peek()
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): unescaped.append(byte)
        case UInt8(ascii: "b"): unescaped.append(0x08)
        case UInt8(ascii: "f"): unescaped.append(0x0C)
        case UInt8(ascii: "n"): unescaped.append(0x0A)
        case UInt8(ascii: "r"): unescaped.append(0x0D)
        case UInt8(ascii: "t"): unescaped.append(0x09)
        case UInt8(ascii: "u"): return try parseUnicodeEscape()
        default: throw problem(.invalidEscape)
        }
        position += 1
    }

    private mutating func parseUnicodeEscape() throws(JSONError) {
        position += 1
        let unit = try parseFourHexDigits()
        var value = UInt32(unit)
        if UTF16.isLeadSurrogate(unit) {
            guard position + 1 < source.count, source[position] == UInt8(ascii: "\\"),
                source[position + 1] == UInt8(ascii: "u")
            else { throw problem(.loneSurrogate) }
            position += 2
            let trail = try parseFourHexDigits()
            guard UTF16.isTrailSurrogate(trail) else { throw problem(.loneSurrogate) }
            value = 0x10000 + (UInt32(unit) & 0x3FF) << 10 + UInt32(trail) & 0x3FF
        }
        guard let scalar = Unicode.Scalar(value) else { throw problem(.loneSurrogate) }
        unescaped.append(contentsOf: scalar.utf8)
    }

    private mutating func parseFourHexDigits() throws(JSONError) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            let byte = try peek()
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt16(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt16(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt16(byte - UInt8(ascii: "A") + 10)
            default: throw problem(.invalidEscape)
            }
            position += 1
        }
        return value
    }
}
