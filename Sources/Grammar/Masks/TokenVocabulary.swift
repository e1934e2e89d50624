import Generation
import Tokenizer

/// The tokens of a model as byte strings, in a trie: made once for a tokenizer, shared by all grammars.
///
/// One array of nodes in the order of a walk, so that a mask is one pass along it: a node's descendants stand behind it up to its
/// `end`, and a subtree that a grammar refuses is skipped in one step.
public final class TokenVocabulary: Sendable {
    struct Node: Sendable {
        /// Behind the last descendant.
        var end: Int32
        /// Tokens that end here: `tokens[firstToken..<next node's firstToken]`.
        var firstToken: Int32
        var byte: UInt8
        /// Bytes from the root.
        var depth: UInt16
    }

    /// One more than the greatest id.
    public let size: Int
    /// Both tries, one behind the other, and a last node that only ends the tokens.
    let nodes: [Node]
    let tokens: [TokenID]
    /// The node that holds the trie for an answer's first token, and the one for all others.
    let firstRoot: Int32
    let innerRoot: Int32 = 0
    /// Bytes of the longest token.
    public let longestToken: Int
    private let inner: [[UInt8]?]
    private let first: [[UInt8]?]?

    /// Longer tokens are left out: no answer needs them.
    static let greatestTokenBytes = 256

    /// - Parameters:
    ///   - inner: by id, the bytes that a token adds to a text; `nil` for those that no constraint allows (special ones).
    ///   - first: the same for an answer's first token; `nil` if it makes no difference.
    public init(inner: [[UInt8]?], first: [[UInt8]?]? = nil) {
        func usable(_ bytes: [UInt8]?) -> [UInt8]? {
            bytes.flatMap { $0.isEmpty || $0.count > Self.greatestTokenBytes ? nil : $0 }
        }
        self.inner = inner.map(usable)
        self.first = first.map { $0.map(usable) }
        size = inner.count
        var trie = TrieBuilder()
        trie.add(self.inner)
        firstRoot = self.first == nil ? 0 : Int32(trie.nodes.count)
        if let first = self.first { trie.add(first) }
        trie.finish()
        nodes = trie.nodes
        tokens = trie.tokens
        longestToken = (self.inner + (self.first ?? [])).reduce(0) { max($0, $1?.count ?? 0) }
    }

    /// - Throws: ``GrammarError/unsupportedVocabulary(_:)`` if the tokenizer's decoder looks at more than one token at a time.
    public convenience init(_ tokenizer: Tokenizer) throws(GrammarError) {
        do {
            let bytes = try tokenizer.tokenBytes()
            self.init(inner: bytes.inner, first: bytes.first)
        } catch {
            throw .unsupportedVocabulary("\(error)")
        }
    }

    /// What the token adds to an answer; `nil` if no constraint allows it.
    public func bytes(of token: TokenID, isFirst: Bool) -> [UInt8]? {
        guard token >= 0, Int(token) < size else { return nil }
        return isFirst ? (first ?? inner)[Int(token)] : inner[Int(token)]
    }

    var byteCount: Int { nodes.count * MemoryLayout<Node>.stride + tokens.count * 4 }
}

private struct TrieBuilder {
    private(set) var nodes: [TokenVocabulary.Node] = []
    private(set) var tokens: [TokenID] = []

    /// A root and below it all of `vocabulary`.
    mutating func add(_ vocabulary: [[UInt8]?]) {
        let sorted = vocabulary.enumerated().compactMap { id, bytes in bytes.map { (bytes: $0, id: TokenID(id)) } }
            .sorted { $0.bytes == $1.bytes ? $0.id < $1.id : $0.bytes.lexicographicallyPrecedes($1.bytes) }
        // The nodes from the root to where the last token ends.
        var path = [append(byte: 0, depth: 0)], spelled: [UInt8] = []
        for (bytes, id) in sorted {
            let common = zip(spelled, bytes).prefix { $0 == $1 }.count
            close(&path, downTo: common + 1)
            for (depth, byte) in bytes.enumerated().dropFirst(common) { path.append(append(byte: byte, depth: depth + 1)) }
            spelled = bytes
            tokens.append(id)
        }
        close(&path, downTo: 0)
    }

    private mutating func append(byte: UInt8, depth: Int) -> Int {
        nodes.append(TokenVocabulary.Node(end: 0, firstToken: Int32(tokens.count), byte: byte, depth: UInt16(depth)))
        return nodes.count - 1
    }

    private mutating func close(_ path: inout [Int], downTo count: Int) {
        while path.count > count, let node = path.popLast() { nodes[node].end = Int32(nodes.count) }
    }

    mutating func finish() {
        let last = append(byte: 0, depth: 0)
        nodes[last].end = Int32(nodes.count)
    }
}
