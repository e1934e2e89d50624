import JSONReader

/// How tokens become text, as steps that a ``StreamingDecoder`` takes with each token as it comes.
///
/// The reference implementation maps whole lists of tokens. Here a list passes through the first steps one token at a
/// time, is joined into one text, and later steps see that text in parts. What would need all of the text before
/// anything can be said about its beginning is refused when the file is loaded.
struct Decoder: Sendable {
    /// Maps single tokens.
    enum TokenStep: Sendable {
        case replace([UInt8], with: [UInt8])
        case strip(Strip)
        /// The replacement becomes a space; in the first token it vanishes if `dropsFirst`.
        case metaspace(replacement: [UInt8], dropsFirst: Bool)
        /// Runs of `<0xHH>` become the characters that they spell, or U+FFFD each.
        case byteFallback
    }

    enum Join: Sendable {
        case concatenation
        case spaces
        /// The tokens are in ``ByteAlphabet``: their bytes are the text.
        case byteLevel
    }

    /// Maps the joined text.
    enum TextStep: Sendable {
        case replace([UInt8], with: [UInt8])
        case strip(Strip)
    }

    /// Takes up to `start` characters `content` from the front and up to `stop` from the back.
    struct Strip: Sendable {
        let content: [UInt8]
        let start: Int
        let stop: Int
    }

    private(set) var tokenSteps: [TokenStep] = []
    private(set) var join = Join.concatenation
    private(set) var textSteps: [TextStep] = []
    private var isJoined = false
    private var growth = Growth()

    init(tokenSteps: [TokenStep] = [], join: Join, textSteps: [TextStep] = []) {
        self.tokenSteps = tokenSteps
        self.join = join
        self.textSteps = textSteps
    }

    /// Reads the object `decoder`; without one, tokens are joined by spaces.
    init(_ value: JSONValue?) throws(TokenizerError) {
        if let value { try read(value) } else { join = .spaces }
    }

    private mutating func read(_ value: JSONValue) throws(TokenizerError) {
        let type = try value.required("type")
        switch try type.string() {
        case "Sequence":
            for element in try value.required("decoders").elements() { try read(element) }
        case "Fuse": isJoined = true
        case "ByteLevel":
            guard !isJoined else { throw type.unsupported() }
            join = .byteLevel
            isJoined = true
        case "ByteFallback":
            guard !isJoined else { throw type.unsupported() }
            tokenSteps.append(.byteFallback)
        case "Metaspace":
            guard !isJoined else { throw type.unsupported() }
            let metaspace = try Metaspace(value)
            tokenSteps.append(
                .metaspace(replacement: metaspace.replacement, dropsFirst: metaspace.prependScheme != .never))
        case "Replace": try readReplace(value)
        case "Strip": try readStrip(value)
        default: throw type.unsupported()
        }
    }

    /// The byte that a token `<0xHH>` names.
    static func byte(named token: [UInt8]) -> UInt8? {
        guard token.count == 6, token.starts(with: "<0x".utf8), token[5] == UInt8(ascii: ">") else { return nil }
        return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
    }

    private mutating func readReplace(_ value: JSONValue) throws(TokenizerError) {
        let pattern = try value.required("pattern")
        let content = Array(try value.required("content").bytes())
        let matcher = try Matcher(pattern)
        growth.multiply(by: Growth(replacing: matcher, with: content).factor)
        try growth.check(value)
        switch matcher {
        case .regex: throw try pattern.required("Regex").unsupported()
        case .literal(let literal):
            if isJoined {
                textSteps.append(.replace(literal, with: content))
            } else {
                tokenSteps.append(.replace(literal, with: content))
            }
        }
    }

    private mutating func readStrip(_ value: JSONValue) throws(TokenizerError) {
        let limit = Int(Int32.max)
        let strip = Strip(
            content: try value.required("content").character(),
            start: try value.required("start").integer(below: limit, else: .numberOutOfRange),
            stop: try value.required("stop").integer(below: limit, else: .numberOutOfRange))
        if isJoined { textSteps.append(.strip(strip)) } else { tokenSteps.append(.strip(strip)) }
    }
}
