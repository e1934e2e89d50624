import JSONReader

/// What `Split` and `Replace` look for: `{"String": …}` or `{"Regex": …}`.
enum Matcher: Sendable {
    case literal([UInt8])
    case regex(Pattern)

    init(_ value: JSONValue) throws(TokenizerError) {
        if let literal = try value.optional("String") {
            let bytes = try literal.bytes()
            guard !bytes.isEmpty else { throw literal.invalid(.emptyPattern) }
            self = .literal(Array(bytes))
        } else {
            let regex = try value.required("Regex")
            self = .regex(try Pattern(regex.string(), from: regex))
        }
    }

    /// Matches as offsets from the start of `text`, leftmost first and not overlapping.
    func matches(in text: ArraySlice<UInt8>) throws(TokenizerError) -> [Range<Int>] {
        switch self {
        case .regex(let pattern): try pattern.matches(in: text)
        case .literal(let bytes): Self.occurrences(of: bytes, in: text)
        }
    }

    func replacingMatches(in text: [UInt8], with content: [UInt8]) throws(TokenizerError) -> [UInt8] {
        let matches = try matches(in: text[...])
        guard !matches.isEmpty else { return text }
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var end = 0
        for match in matches {
            result += text[end..<match.lowerBound]
            result += content
            end = match.upperBound
        }
        result += text[end...]
        return result
    }

    static func occurrences(of bytes: [UInt8], in text: ArraySlice<UInt8>) -> [Range<Int>] {
        var matches: [Range<Int>] = []
        text.withUnsafeBufferPointer { text in
            var start = 0
            while start + bytes.count <= text.count {
                if text[start] == bytes[0], text[start..<start + bytes.count].elementsEqual(bytes) {
                    matches.append(start..<start + bytes.count)
                    start += bytes.count
                } else {
                    start += 1
                }
            }
        }
        return matches
    }
}
