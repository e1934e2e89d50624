import Generation

/// Added tokens in the order of their bytes: those that begin alike stand together, so that a walk along a text narrows a
/// range. Costs no more than the tokens themselves, where a node for every byte would cost fifty times the file.
struct TokenTrie: Sendable {
    private var tokens: [AddedToken] = []
    /// Whether some token begins with the byte: most places of a text are ruled out by this alone.
    private var isFirstByte = [Bool](repeating: false, count: 256)

    init() {}

    init(_ tokens: [AddedToken]) {
        self.tokens = tokens.sorted { $0.written.lexicographicallyPrecedes($1.written) }
        for token in tokens { isFirstByte[Int(token.written[0])] = true }
    }

    /// Two tokens with the same bytes, or `nil`.
    var duplicate: (AddedToken, AddedToken)? {
        zip(tokens, tokens.dropFirst()).first { $0.written == $1.written }
    }

    /// Hands out `piece` as the tokens in it and the text between them.
    func cut(_ piece: Piece, emit: (AddedTokens.Segment) throws(TokenizerError) -> Void) throws(TokenizerError) {
        let text = piece.bytes
        var end = text.startIndex
        var position = text.startIndex
        while let (match, token) = firstMatch(in: text, from: position) {
            position = match.upperBound
            if token.isSingleWord, Self.touchesWord(match, in: text) { continue }
            let start = token.stripsLeft && end < match.lowerBound
                ? Self.whiteSpaceStart(before: match.lowerBound, in: text[end...]) : match.lowerBound
            if end < start { try emit(.text(piece.part(end..<start))) }
            try emit(.token(token.id))
            end = token.stripsRight ? Self.whiteSpaceEnd(after: match.upperBound, in: text) : match.upperBound
        }
        if end < text.endIndex { try emit(.text(piece.part(end..<text.endIndex))) }
    }

    private func firstMatch(in text: ArraySlice<UInt8>, from start: Int) -> (Range<Int>, AddedToken)? {
        guard !tokens.isEmpty else { return nil }
        var position = start
        while position < text.endIndex {
            if isFirstByte[Int(text[position])], let found = longestMatch(in: text, at: position) { return found }
            position += 1
        }
        return nil
    }

    private func longestMatch(in text: ArraySlice<UInt8>, at start: Int) -> (Range<Int>, AddedToken)? {
        // Of `range`, all tokens begin with the bytes up to `position`; one that ends there stands first.
        var range = tokens.startIndex..<tokens.endIndex
        var found: (Range<Int>, AddedToken)?
        for position in start..<text.endIndex {
            let byte = text[position], depth = position - start
            let lower = place(in: range) { $0.count <= depth || $0[depth] < byte }
            range = lower..<place(in: lower..<range.upperBound) { $0[depth] == byte }
            guard let first = range.first else { break }
            if tokens[first].written.count == depth + 1 { found = (start..<position + 1, tokens[first]) }
        }
        return found
    }

    /// The first place in `range` whose token's bytes do not satisfy `precedes`, which holds for the front of it.
    private func place(in range: Range<Int>, where precedes: ([UInt8]) -> Bool) -> Int {
        var lower = range.lowerBound, upper = range.upperBound
        while lower < upper {
            let middle = lower + (upper - lower) / 2
            if precedes(tokens[middle].written) { lower = middle + 1 } else { upper = middle }
        }
        return lower
    }

    private static func touchesWord(_ match: Range<Int>, in text: ArraySlice<UInt8>) -> Bool {
        var after = ScalarRanges(text[match.upperBound...])
        return ScalarRanges.last(of: text[..<match.lowerBound])?.isWordCharacter == true
            || after.next()?.scalar.isWordCharacter == true
    }

    private static func whiteSpaceStart(before end: Int, in text: ArraySlice<UInt8>) -> Int {
        var start = end
        while let scalar = ScalarRanges.last(of: text[..<start]), scalar.properties.isWhitespace {
            start -= scalar.utf8.count
        }
        return start
    }

    private static func whiteSpaceEnd(after start: Int, in text: ArraySlice<UInt8>) -> Int {
        var end = start
        for (scalar, range) in ScalarRanges(text[start...]) {
            guard scalar.properties.isWhitespace else { break }
            end = range.upperBound
        }
        return end
    }
}

extension Piece {
    /// The part at a range of indices into `bytes`.
    fileprivate func part(_ range: Range<Int>) -> Piece {
        Piece(bytes: bytes[range], startsText: startsText && range.lowerBound == bytes.startIndex)
    }
}
