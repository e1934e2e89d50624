import JSONReader

/// SentencePiece's way with spaces: each becomes a visible character, and one may be put before the text.
struct Metaspace: Sendable {
    enum PrependScheme: String, Sendable {
        case always, first, never
    }

    /// The UTF-8 of the one character that stands for a space.
    let replacement: [UInt8]
    let prependScheme: PrependScheme
    /// Whether a piece begins at each replacement.
    let splits: Bool

    init(_ value: JSONValue) throws(TokenizerError) {
        replacement = try value.required("replacement").character()
        splits = try value.bool("split", default: true)
        var scheme = PrependScheme.always
        if let name = try value.optional("prepend_scheme") {
            guard let known = PrependScheme(rawValue: try name.string()) else { throw name.unsupported() }
            scheme = known
        }
        // The older key may only repeat what the newer one says.
        if let prefix = try value.optional("add_prefix_space"), try !prefix.bool() {
            guard scheme == .never else { throw prefix.invalid(.contradiction) }
        }
        prependScheme = scheme
    }

    func split(_ pieces: [Piece]) throws(TokenizerError) -> [Piece] {
        var replaced: [Piece] = []
        replaced.reserveCapacity(pieces.count)
        for piece in pieces {
            let bytes = try Matcher.literal([0x20]).replacingMatches(in: Array(piece.bytes), with: replacement)
            let result = Piece(bytes: bytes[...], startsText: piece.startsText)
            switch prependScheme {
            case .always: replaced.append(result.prefixed(by: replacement))
            case .first: replaced.append(piece.startsText ? result.prefixed(by: replacement) : result)
            case .never: replaced.append(result)
            }
        }
        guard splits else { return replaced }
        return try replaced.split { (text) throws(TokenizerError) in
            SplitBehavior.mergedWithNext.pieces(
                of: text.count, at: Matcher.occurrences(of: replacement, in: text), invert: false)
        }
    }
}
