import JSONReader

/// A stretch of text on its way to the model: merges never reach across pieces.
struct Piece: Sendable {
    /// Valid UTF-8, never empty.
    var bytes: ArraySlice<UInt8>
    /// Whether it begins where the whole text began.
    var startsText: Bool
}

/// Splits pieces into smaller ones, and may rewrite them.
indirect enum PreTokenizer: Sendable {
    case sequence([PreTokenizer])
    /// Splits by `pattern` if there is one, and writes bytes in ``ByteAlphabet``.
    case byteLevel(addsPrefixSpace: Bool, pattern: Pattern?)
    case split(Matcher, SplitBehavior, invert: Bool)
    case digits(SplitBehavior)
    case metaspace(Metaspace)

    init(_ value: JSONValue) throws(TokenizerError) {
        let type = try value.required("type")
        switch try type.string() {
        case "Sequence":
            var preTokenizers: [PreTokenizer] = []
            for element in try value.required("pretokenizers").elements() {
                preTokenizers.append(try PreTokenizer(element))
            }
            self = .sequence(preTokenizers)
        case "ByteLevel":
            self = .byteLevel(
                addsPrefixSpace: try value.required("add_prefix_space").bool(),
                pattern: try value.bool("use_regex", default: true) ? Pattern(Pattern.gpt2, from: value) : nil)
        case "Split":
            let behavior = try value.required("behavior")
            guard let known = SplitBehavior(rawValue: try behavior.string()) else { throw behavior.unsupported() }
            self = .split(
                try Matcher(value.required("pattern")), known, invert: try value.bool("invert", default: false))
        case "Digits":
            self = .digits(try value.bool("individual_digits", default: false) ? .isolated : .contiguous)
        case "Metaspace": self = .metaspace(try Metaspace(value))
        default: throw type.unsupported()
        }
    }

    var growth: Growth {
        var growth = Growth()
        switch self {
        case .sequence(let preTokenizers): for preTokenizer in preTokenizers { growth.multiply(by: preTokenizer.growth.factor) }
        case .byteLevel: growth.multiply(by: 2)
        case .metaspace, .split, .digits: break
        }
        return growth
    }

    func split(_ pieces: [Piece]) throws(TokenizerError) -> [Piece] {
        switch self {
        case .sequence(let preTokenizers):
            var pieces = pieces
            for preTokenizer in preTokenizers { pieces = try preTokenizer.split(pieces) }
            return pieces
        case .split(let matcher, let behavior, let invert):
            return try pieces.split { (text) throws(TokenizerError) in
                behavior.pieces(of: text.count, at: try matcher.matches(in: text), invert: invert)
            }
        case .digits(let behavior):
            return try pieces.split { (text) throws(TokenizerError) in
                behavior.pieces(of: text.count, at: Self.digits(in: text), invert: false)
            }
        case .byteLevel(let addsPrefixSpace, let pattern):
            var pieces = addsPrefixSpace ? pieces.map { $0.prefixed(by: [0x20]) } : pieces
            if let pattern {
                pieces = try pieces.split { (text) throws(TokenizerError) in
                    SplitBehavior.isolated.pieces(of: text.count, at: try pattern.matches(in: text), invert: false)
                }
            }
            return Self.spellBytes(of: pieces)
        case .metaspace(let metaspace):
            return try metaspace.split(pieces)
        }
    }

    private static func digits(in text: ArraySlice<UInt8>) -> [Range<Int>] {
        ScalarRanges(text).compactMap { scalar, range in
            scalar.isNumeric ? range.lowerBound - text.startIndex..<range.upperBound - text.startIndex : nil
        }
    }

    /// Writes all pieces into one new buffer, each byte as its character.
    private static func spellBytes(of pieces: [Piece]) -> [Piece] {
        var buffer: [UInt8] = []
        buffer.reserveCapacity(2 * pieces.reduce(0) { $0 + $1.bytes.count })
        let ends = pieces.map { piece in
            for byte in piece.bytes { buffer += ByteAlphabet.characters[Int(byte)] }
            return buffer.count
        }
        var start = 0
        return zip(pieces, ends).map { piece, end in
            defer { start = end }
            return Piece(bytes: buffer[start..<end], startsText: piece.startsText)
        }
    }
}

extension [Piece] {
    /// Cuts each piece into the ranges (offsets from its start) that `ranges` gives for it.
    func split(
        by ranges: (ArraySlice<UInt8>) throws(TokenizerError) -> [Range<Int>]
    ) throws(TokenizerError) -> [Piece] {
        var result: [Piece] = []
        result.reserveCapacity(count)
        for piece in self {
            let start = piece.bytes.startIndex
            for range in try ranges(piece.bytes) {
                result.append(Piece(
                    bytes: piece.bytes[start + range.lowerBound..<start + range.upperBound],
                    startsText: piece.startsText && range.lowerBound == 0))
            }
        }
        return result
    }
}

extension Piece {
    func prefixed(by prefix: [UInt8]) -> Piece {
        bytes.starts(with: prefix) ? self : Piece(bytes: (prefix + bytes)[...], startsText: startsText)
    }
}
