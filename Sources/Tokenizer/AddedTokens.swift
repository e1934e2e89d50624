import Generation
import JSONReader

/// A token that is found in the text itself, before the model sees it.
struct AddedToken: Sendable {
    let id: TokenID
    let content: [UInt8]
    /// The content as the normalizer writes it: what is looked for if `isNormalized`, and what it decodes to.
    let written: [UInt8]
    /// Only where no word character touches it.
    let isSingleWord: Bool
    /// Takes the white space before, or after, with it.
    let stripsLeft: Bool
    let stripsRight: Bool
    /// Whether it is looked for after normalization instead of before.
    let isNormalized: Bool
    let isSpecial: Bool

    /// As given and as normalized.
    private static let maximumByteCount = 512

    /// One that is looked for as it is written.
    init(id: TokenID, content: [UInt8], isSpecial: Bool) {
        self.id = id
        self.content = content
        self.isSpecial = isSpecial
        written = content
        (isSingleWord, stripsLeft, stripsRight, isNormalized) = (false, false, false, false)
    }

    init(_ value: JSONValue, idLimit: Int, normalizer: Normalizer?) throws(TokenizerError) {
        id = TokenID(try value.required("id").integer(below: idLimit, else: .idOutOfRange))
        let text = try value.required("content")
        content = Array(try text.bytes())
        guard content.count <= Self.maximumByteCount else { throw text.invalid(.tokenTooLong) }
        isSingleWord = try value.bool("single_word", default: false)
        stripsLeft = try value.bool("lstrip", default: false)
        stripsRight = try value.bool("rstrip", default: false)
        isSpecial = try value.bool("special", default: false)
        isNormalized = try value.bool("normalized", default: !isSpecial)
        written = isNormalized ? try normalizer?.normalize(content) ?? content : content
        guard !content.isEmpty, !written.isEmpty else { throw text.invalid(.emptyToken) }
        guard written.count <= Self.maximumByteCount else { throw text.invalid(.tokenTooLong) }
    }
}

/// All added tokens of a file: finds them in text, leftmost and longest first.
struct AddedTokens: Sendable {
    enum Segment: Sendable {
        case token(TokenID)
        case text(Piece)
    }

    private var tokens: [TokenID: AddedToken] = [:]
    private var ids: [[UInt8]: TokenID] = [:]
    private var raw = TokenTrie()
    private var normalized = TokenTrie()
    let normalizer: Normalizer?

    /// Tokens of the vocabulary, each with an id and a content of its own, and none of them empty.
    init(_ added: [AddedToken], normalizer: Normalizer?) {
        self.normalizer = normalizer
        for token in added {
            precondition(!token.isNormalized && ids[token.content] == nil, "added token \(token.id)")
            ids[token.content] = token.id
            tokens[token.id] = token
        }
        raw = TokenTrie(added)
    }

    /// Reads the array `added_tokens`.
    init(_ value: JSONValue?, vocabulary: Vocabulary, idLimit: Int, normalizer: Normalizer?) throws(TokenizerError) {
        self.normalizer = normalizer
        guard let value else { return }
        tokens.reserveCapacity(value.count)
        ids.reserveCapacity(value.count)
        for element in try value.elements() {
            let token = try AddedToken(element, idLimit: idLimit, normalizer: normalizer)
            guard tokens[token.id] == nil else { throw try element.required("id").invalid(.duplicateID) }
            let known = vocabulary.id(of: token.content)
            guard known == token.id || (known == nil && vocabulary.token(token.id) == nil) else {
                throw try element.required("id").invalid(.conflictingID)
            }
            guard ids.updateValue(token.id, forKey: token.content) == nil else {
                throw try element.required("content").invalid(.duplicateToken)
            }
            tokens[token.id] = token
        }
        raw = TokenTrie(tokens.values.filter { !$0.isNormalized })
        normalized = TokenTrie(tokens.values.filter(\.isNormalized))
        if let (first, second) = normalized.duplicate { try refuse([first.id, second.id], in: value) }
    }

    /// Two tokens that normalization makes equal: the later one is at fault.
    private func refuse(_ equal: [TokenID], in value: JSONValue) throws(TokenizerError) {
        var later: JSONValue?
        for element in try value.elements() {
            let id = try element.required("id").integer(below: Int(TokenID.max), else: .idOutOfRange)
            if equal.contains(TokenID(id)) { later = element }
        }
        if let later { throw try later.required("content").invalid(.duplicateToken) }
    }

    subscript(id: TokenID) -> AddedToken? { tokens[id] }

    func id(of content: [UInt8]) -> TokenID? { ids[content] }

    /// The number of tokens that `vocabulary` does not hold.
    func count(beyond vocabulary: Vocabulary) -> Int {
        tokens.keys.count { vocabulary.token($0) == nil }
    }

    /// One more than the greatest id.
    var idBound: Int { tokens.keys.max().map { Int($0) + 1 } ?? 0 }

    /// Whether decoding drops the token when special tokens are to be left out.
    ///
    /// The reference implementation asks whether the token *as decoded* is the content of a special token.
    func isSkipped(_ token: AddedToken) -> Bool {
        guard let id = ids[token.written], let named = tokens[id] else { return false }
        return named.isSpecial
    }

    /// Cuts the added tokens out of `text` and normalizes the stretches between them.
    func segments(of text: [UInt8]) throws(TokenizerError) -> [Segment] {
        var segments: [Segment] = []
        try raw.cut(Piece(bytes: text[...], startsText: true)) { (segment) throws(TokenizerError) in
            guard case .text(let piece) = segment else { return segments.append(segment) }
            let bytes = try normalizer?.normalize(Array(piece.bytes))[...] ?? piece.bytes
            try normalized.cut(Piece(bytes: bytes, startsText: piece.startsText)) { (segment) throws(TokenizerError) in
                segments.append(segment)
            }
        }
        return segments
    }
}
