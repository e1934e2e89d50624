import Generation
import Synchronization

/// Tokens of words met before. A fixed number of places, one word in each: a new word drives out the old one, so
/// the cache neither grows nor needs to be cleaned. What it holds never changes a result.
final class WordCache: Sendable {
    private struct Entry {
        let word: [UInt8]
        let tokens: [TokenID]
    }

    private static let placeCount = 1 << 13
    /// Longer words hardly ever come again.
    private static let maximumByteCount = 128

    private let entries = Mutex<[Entry?]>(Array(repeating: nil, count: placeCount))

    func tokens(of word: ArraySlice<UInt8>) -> [TokenID]? {
        guard word.count <= Self.maximumByteCount else { return nil }
        let place = Self.place(of: word)
        return entries.withLock { entries in
            guard let entry = entries[place], entry.word.elementsEqual(word) else { return nil }
            return entry.tokens
        }
    }

    func insert(_ tokens: [TokenID], for word: ArraySlice<UInt8>) {
        guard word.count <= Self.maximumByteCount else { return }
        let entry = Entry(word: Array(word), tokens: tokens)
        let place = Self.place(of: word)
        entries.withLock { $0[place] = entry }
    }

    private static func place(of word: ArraySlice<UInt8>) -> Int {
        var hasher = Hasher()
        word.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize() & (placeCount - 1)
    }
}
