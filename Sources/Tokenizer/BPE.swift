import Generation
import JSONReader

/// Byte-pair encoding (Sennrich et al., arXiv 1508.07909): a word's characters, joined pair by pair in the order in
/// which training joined them.
struct BPE: Sendable {
    /// What a pair of neighbours becomes.
    private struct Merge: Sendable {
        let rank: UInt32
        let result: TokenID
    }

    let vocabulary: Vocabulary
    private var merges: [UInt64: Merge] = [:]
    /// By byte, the token `<0xHH>` for characters that are not in the vocabulary.
    private let byteTokens: [TokenID?]
    private let unknownToken: TokenID?
    private let fusesUnknown: Bool
    /// Whether a word that is a token stays whole, however its merges go.
    let ignoresMerges: Bool
    /// The tokens of single characters below U+0800, by code point.
    private let characterTokens: [TokenID?]
    private let cache = WordCache()

    /// Reads the object `model`.
    init(_ value: JSONValue, idLimit: Int) throws(TokenizerError) {
        if let type = try value.optional("type"), try type.string() != "BPE" { throw type.unsupported() }
        try Self.refuseUnsupported(value)
        let vocabulary = try Vocabulary(value.required("vocab"), idLimit: idLimit)
        self.vocabulary = vocabulary
        fusesUnknown = try value.bool("fuse_unk", default: false)
        ignoresMerges = try value.bool("ignore_merges", default: false)
        unknownToken = try Self.unknownToken(value, vocabulary)
        byteTokens = try value.bool("byte_fallback", default: false)
            ? (0...255).map { vocabulary.id(of: Array(Self.byteTokenName($0).utf8)) }
            : Array(repeating: nil, count: 256)
        characterTokens = Self.characterTokens(vocabulary)
        try readMerges(value.required("merges"))
    }

    /// Merges of pairs of tokens, in their order.
    /// - Parameter key: of the list of merges, for errors.
    init(
        vocabulary: Vocabulary, merges pairs: [[UInt8]], ignoresMerges: Bool, file: String, key: String
    ) throws(TokenizerError) {
        self.init(vocabulary: vocabulary, unknownToken: nil, hasByteFallback: false, ignoresMerges: ignoresMerges)
        merges.reserveCapacity(pairs.count)
        for (rank, pair) in pairs.enumerated() {
            let parts = pair.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            func refuse(_ defect: TokenizerError.Defect) -> TokenizerError {
                .invalid(file: file, key: "\(key)[\(rank)]", value: Vocabulary.shown(pair), defect: defect)
            }
            guard parts.count == 2, let rank = UInt32(exactly: rank) else { throw refuse(.malformedMerge) }
            guard let left = vocabulary.id(of: parts[0]), let right = vocabulary.id(of: parts[1]),
                let result = vocabulary.id(of: Array(parts[0] + parts[1]))
            else { throw refuse(.mergeOutOfVocabulary) }
            merges[Self.pair(left, right)] = Merge(rank: rank, result: result)
        }
    }

    /// SentencePiece's BPE: of all neighbours that are a token together, those go first whose token has the highest score.
    ///
    /// - Parameters:
    ///   - ranks: by id, the place of the token's score, highest first, equal ones alike; `nil` for what no text merges into.
    ///     Tokens with a rank are valid UTF-8.
    init(vocabulary: Vocabulary, ranks: [UInt32?], unknownToken: TokenID?) {
        self.init(vocabulary: vocabulary, unknownToken: unknownToken, hasByteFallback: true, ignoresMerges: false)
        for (index, rank) in ranks.enumerated() {
            guard let rank, let token = vocabulary.token(TokenID(index)) else { continue }
            for (_, range) in ScalarRanges(token) where range.lowerBound > token.startIndex {
                guard let left = vocabulary.id(of: token[..<range.lowerBound]), ranks[Int(left)] != nil,
                    let right = vocabulary.id(of: token[range.lowerBound...]), ranks[Int(right)] != nil
                else { continue }
                merges[Self.pair(left, right)] = Merge(rank: rank, result: TokenID(index))
            }
        }
    }

    private init(vocabulary: Vocabulary, unknownToken: TokenID?, hasByteFallback: Bool, ignoresMerges: Bool) {
        self.vocabulary = vocabulary
        self.unknownToken = unknownToken
        self.ignoresMerges = ignoresMerges
        fusesUnknown = true
        byteTokens = hasByteFallback
            ? (0...255).map { vocabulary.id(of: Array(Self.byteTokenName($0).utf8)) } : Array(repeating: nil, count: 256)
        characterTokens = Self.characterTokens(vocabulary)
    }

    private static func characterTokens(_ vocabulary: Vocabulary) -> [TokenID?] {
        (UInt32(0)..<0x800).map { code in Unicode.Scalar(code).flatMap { vocabulary.id(of: Array($0.utf8)) } }
    }

    /// All merges in their order, as pairs of tokens.
    var mergePairs: [(left: ArraySlice<UInt8>, right: ArraySlice<UInt8>)] {
        merges.sorted { $0.value.rank < $1.value.rank }.compactMap { pair, _ in
            guard let left = vocabulary.token(TokenID(truncatingIfNeeded: pair >> 32)),
                let right = vocabulary.token(TokenID(truncatingIfNeeded: pair))
            else { return nil }
            return (left, right)
        }
    }

    var hasByteFallback: Bool { byteTokens.contains { $0 != nil } }

    private static func byteTokenName(_ byte: Int) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return "<0x\(digits.count < 2 ? "0" : "")\(digits)>"
    }

    private static func refuseUnsupported(_ value: JSONValue) throws(TokenizerError) {
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let affix = try value.optional(key), try !affix.bytes().isEmpty { throw affix.unsupported() }
        }
        // Dropout makes the tokens of a text random.
        if let dropout = try value.optional("dropout") {
            guard dropout.kind == .number else { throw dropout.wrongType(expected: "a number") }
            guard dropout.number == 0 else { throw dropout.unsupported() }
        }
    }

    private static func unknownToken(_ value: JSONValue, _ vocabulary: Vocabulary) throws(TokenizerError) -> TokenID? {
        guard let name = try value.optional("unk_token") else { return nil }
        guard let id = vocabulary.id(of: try name.bytes()) else { throw name.invalid(.unknownToken) }
        return id
    }

    // MARK: Merges

    /// Reads `model.merges`: pairs as `["a", "b"]`, or in older files as `"a b"`. The rank is the place in the list.
    private mutating func readMerges(_ value: JSONValue) throws(TokenizerError) {
        merges.reserveCapacity(value.count)
        var rank: UInt32 = 0
        var joined: [UInt8] = []
        for merge in try value.elements() {
            let (left, right): (ArraySlice<UInt8>, ArraySlice<UInt8>)
            if merge.kind == .string {
                let text = try merge.bytes()
                // The first line of a merges.txt, which some converters took along.
                if text.starts(with: "#version".utf8) { continue }
                let parts = text.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
                guard parts.count == 2 else { throw merge.invalid(.malformedMerge) }
                (left, right) = (parts[0], parts[1])
            } else {
                var parts = try merge.elements()
                guard merge.count == 2, let first = parts.next(), let second = parts.next() else {
                    throw merge.invalid(.malformedMerge)
                }
                (left, right) = (try first.bytes(), try second.bytes())
            }
            joined.removeAll(keepingCapacity: true)
            joined += left
            joined += right
            guard let leftID = vocabulary.id(of: left), let rightID = vocabulary.id(of: right),
                let result = vocabulary.id(of: joined)
            else { throw merge.invalid(.mergeOutOfVocabulary) }
            merges[Self.pair(leftID, rightID)] = Merge(rank: rank, result: result)
            rank += 1
        }
    }

    private static func pair(_ left: TokenID, _ right: TokenID) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    // MARK: Encoding

    /// Appends the tokens of `word` (valid UTF-8, not empty). O(n log n) in its length.
    func encode(_ word: ArraySlice<UInt8>, into tokens: inout [TokenID]) {
        if ignoresMerges, let id = vocabulary.id(of: word) { return tokens.append(id) }
        if let cached = cache.tokens(of: word) {
            tokens += cached
        } else {
            let found = merge(characters(of: word))
            cache.insert(found, for: word)
            tokens += found
        }
    }

    /// One token per character before any merge; characters out of the vocabulary become bytes, or the unknown
    /// token, or nothing.
    private func characters(of word: ArraySlice<UInt8>) -> [TokenID] {
        var ids: [TokenID] = []
        ids.reserveCapacity(word.count)
        // An unknown token waits, so that the next unknown character can join it. Byte tokens overtake it: so the
        // reference implementation does, and models were trained on what it does.
        var pendingUnknown: TokenID?
        for (scalar, range) in ScalarRanges(word) {
            let character = word[range]
            if let id = scalar.value < 0x800 ? characterTokens[Int(scalar.value)] : vocabulary.id(of: character) {
                if let unknown = pendingUnknown.take() { ids.append(unknown) }
                ids.append(id)
            } else if character.allSatisfy({ byteTokens[Int($0)] != nil }) {
                ids += character.compactMap { byteTokens[Int($0)] }
            } else if let unknownToken {
                if let unknown = pendingUnknown, !fusesUnknown { ids.append(unknown) }
                pendingUnknown = unknownToken
            }
        }
        if let pendingUnknown { ids.append(pendingUnknown) }
        return ids
    }

    /// A place in the word: a token and its neighbours that are still alive.
    private struct Symbol {
        var id: TokenID
        var previous: Int32
        var next: Int32
        var isAlive = true
    }

    /// Applies the merge of lowest rank, leftmost first, until none is left.
    private func merge(_ ids: [TokenID]) -> [TokenID] {
        guard ids.count > 1, ids.count < Int(Int32.max) - 1 else { return ids }
        // The guards at both ends stand before the first and after the last symbol.
        let tail = ids.count + 1
        var symbols: [Symbol] = []
        symbols.reserveCapacity(tail + 1)
        symbols.append(Symbol(id: 0, previous: 0, next: 1))
        for (place, id) in ids.enumerated() {
            symbols.append(Symbol(id: id, previous: Int32(place), next: Int32(place + 2)))
        }
        symbols.append(Symbol(id: 0, previous: Int32(tail - 1), next: Int32(tail)))

        func candidate(at left: Int) -> MergeQueue.Candidate? {
            let right = Int(symbols[left].next)
            guard left != 0, right != tail, let merge = merges[Self.pair(symbols[left].id, symbols[right].id)] else {
                return nil
            }
            return .init(rank: merge.rank, place: UInt32(left), result: merge.result)
        }
        var queue = MergeQueue((1..<ids.count).compactMap(candidate))
        while let best = queue.pop() {
            let left = Int(best.place)
            // Outdated candidates stay in the queue: the pair may have changed since.
            guard symbols[left].isAlive, candidate(at: left)?.result == best.result else { continue }
            let right = Int(symbols[left].next)
            symbols[left].id = best.result
            symbols[left].next = symbols[right].next
            symbols[Int(symbols[right].next)].previous = Int32(left)
            symbols[right].isAlive = false
            if let new = candidate(at: Int(symbols[left].previous)) { queue.push(new) }
            if let new = candidate(at: left) { queue.push(new) }
        }
        return symbols[1..<tail].compactMap { $0.isAlive ? $0.id : nil }
    }
}
