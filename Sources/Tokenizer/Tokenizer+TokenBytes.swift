import Generation

extension Tokenizer {
    /// What each token adds to a text, byte for byte, so that tokens can be matched against a grammar.
    public struct TokenBytes: Sendable {
        /// By id, anywhere but at the beginning of a text; `nil` for special tokens, holes, and tokens without a byte.
        public var inner: [[UInt8]?]
        /// The same for a text's first token; `nil` if it makes no difference.
        public var first: [[UInt8]?]?
    }

    /// The bytes of all tokens, below ``idBound``. Put together they equal what ``StreamingDecoder`` makes of the same tokens
    /// wherever these spell valid UTF-8.
    /// - Throws: ``TokenizerError/unsupported(file:key:value:)`` for a decoder that changes more than tokens one by one.
    public func tokenBytes() throws(TokenizerError) -> TokenBytes {
        var strips = false
        for step in decoder.textSteps {
            guard case .strip(let strip) = step, strip.stop == 0, strip.start <= 1, !strips else {
                throw .unsupported(file: "tokenizer.json", key: "decoder", value: "steps on the whole text")
            }
            strips = strip.start == 1
        }
        if case .spaces = decoder.join {
            throw .unsupported(file: "tokenizer.json", key: "decoder", value: "tokens joined by spaces")
        }
        let ids = (0..<TokenID(clamping: idBound))
        let inner = ids.map { bytes(of: $0, isFirst: false) }
        let dropsFirst = decoder.tokenSteps.contains { step in
            if case .metaspace(_, let dropsFirst) = step { dropsFirst } else { false }
        }
        return TokenBytes(inner: inner, first: strips || dropsFirst ? ids.map { bytes(of: $0, isFirst: true) } : nil)
    }

    /// What the token adds to the middle of a text, byte for byte; `nil` if that is nothing, as it is of special tokens.
    public func innerBytes(of id: TokenID) -> [UInt8]? { bytes(of: id, isFirst: false) }

    private func bytes(of id: TokenID, isFirst: Bool) -> [UInt8]? {
        if isSpecial(id) { return nil }
        // A token of its own is a text's first one; a decoder that has read another is not at the beginning any more.
        guard var written = writtenForm(of: id, skippingSpecial: true) else { return nil }
        for step in decoder.tokenSteps {
            switch step {
            case .replace(let pattern, let content): written = written.replacing(pattern, with: content)
            case .strip(let strip): written = strip.applied(to: written)
            case .metaspace(let replacement, let dropsFirst):
                written = written.replacing(replacement, with: isFirst && dropsFirst ? [] : [0x20])
            case .byteFallback:
                if let byte = Decoder.byte(named: written) { written = [byte] }
            }
        }
        if case .byteLevel = decoder.join { written = ByteAlphabet.decode(written[...]) ?? written }
        for case .strip(let strip) in decoder.textSteps where isFirst { written = strip.applied(to: written) }
        return written.isEmpty ? nil : written
    }
}

extension Decoder.Strip {
    /// What is left of `text` once up to `start` and `stop` characters are taken from its ends.
    fileprivate func applied(to text: [UInt8]) -> [UInt8] {
        var rest = text[...]
        for _ in 0..<start {
            guard rest.starts(with: content) else { break }
            rest = rest.dropFirst(content.count)
        }
        for _ in 0..<stop {
            guard rest.suffix(content.count).elementsEqual(content) else { break }
            rest = rest.dropLast(content.count)
        }
        return Array(rest)
    }
}
