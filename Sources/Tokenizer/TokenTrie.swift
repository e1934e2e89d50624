import Generation

/// Added tokens by their bytes.
struct TokenTrie: Sendable {
    /// Edges by node and byte; node 0 is the root.
    private var edges: [UInt64: UInt32] = [:]
    private var tokens: [UInt32: AddedToken] = [:]
    private var nodeCount: UInt32 = 1
    /// Whether some token begins with the byte: most places of a text are ruled out by this alone.
    private var isFirstByte = [Bool](repeating: false, count: 256)

    /// - Returns: `false` if a token with these bytes is there already.
    mutating func insert(_ token: AddedToken) -> Bool {
        var node: UInt32 = 0
        for byte in token.written {
            let edge = UInt64(node) << 8 | UInt64(byte)
            if let next = edges[edge] {
                node = next
            } else {
                edges[edge] = nodeCount
                node = nodeCount
                nodeCount += 1
            }
        }
        isFirstByte[Int(token.written[0])] = true
        return tokens.updateValue(token, forKey: node) == nil
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
        var node: UInt32 = 0
        var found: (Range<Int>, AddedToken)?
        for position in start..<text.endIndex {
            guard let next = edges[UInt64(node) << 8 | UInt64(text[position])] else { break }
            node = next
            if let token = tokens[node] { found = (start..<position + 1, token) }
        }
        return found
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
