import Generation

/// A set of token ids, a bit each.
public struct TokenMask: Sendable, Hashable {
    /// Bit `id % 64` of word `id / 64`; bits from ``vocabularySize`` on are 0.
    public private(set) var words: [UInt64]
    /// Ids are below it: of the tokenizer, which a model's logits may outnumber.
    public let vocabularySize: Int

    public init(vocabularySize: Int) {
        self.vocabularySize = vocabularySize
        words = [UInt64](repeating: 0, count: (vocabularySize + 63) / 64)
    }

    public var isEmpty: Bool { words.allSatisfy { $0 == 0 } }
    public var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

    /// Ids outside the vocabulary are in no mask.
    public func contains(_ id: TokenID) -> Bool {
        id >= 0 && Int(id) < vocabularySize && words[Int(id) >> 6] >> UInt64(id & 63) & 1 == 1
    }

    public mutating func insert(_ id: TokenID) {
        precondition(id >= 0 && Int(id) < vocabularySize, "token \(id) of \(vocabularySize)")
        words[Int(id) >> 6] |= 1 << UInt64(id & 63)
    }

    /// The tokens, ascending.
    public var tokens: [TokenID] {
        var tokens: [TokenID] = []
        for (index, word) in words.enumerated() {
            var rest = word
            while rest != 0 {
                tokens.append(TokenID(index * 64 + rest.trailingZeroBitCount))
                rest &= rest - 1
            }
        }
        return tokens
    }

    public mutating func remove(_ id: TokenID) {
        precondition(id >= 0 && Int(id) < vocabularySize, "token \(id) of \(vocabularySize)")
        words[Int(id) >> 6] &= ~(1 << UInt64(id & 63))
    }

    mutating func formUnion(words other: [UInt64]) {
        precondition(other.count == words.count, "masks of two vocabularies")
        words.withUnsafeMutableBufferPointer { words in
            other.withUnsafeBufferPointer { other in
                for index in words.indices { words[index] |= other[index] }
            }
        }
    }

    mutating func formUnion(tokens: [TokenID]) {
        for token in tokens { words[Int(token) >> 6] |= 1 << UInt64(token & 63) }
    }
}
