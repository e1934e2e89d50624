import Generation

/// How far an answer has come in its grammar: a value that depends on the grammar and the tokens read, and on nothing else. So
/// whoever continues an answer gets it by reading the answer's tokens again.
public struct GrammarState: Sendable, Hashable {
    private(set) var stacks = Stacks()
    /// Ascending by state.
    private(set) var threads: [Stacks.Link]
    /// Whether the answer may end here.
    public private(set) var isEnd: Bool
    /// Whether an end token was read: nothing follows.
    public private(set) var hasEnded = false
    /// Tokens read.
    public private(set) var tokenCount = 0

    /// Frames of stacks that may lie about before they are sorted out.
    private static let frameLimit = 256

    init(_ grammar: CompiledGrammar) {
        threads = [Stacks.Link(state: grammar.automaton.ruleStarts[0], frame: Stacks.bottom)]
        isEnd = stacks.closure(of: threads, grammar.automaton).isEnd
    }

    /// Reads one more token.
    /// - Parameter endTokens: of the request; they end an answer that is complete, whatever they spell.
    /// - Throws: ``GrammarError/tokenNotAllowed(_:index:)``; the state is unchanged then.
    public mutating func advance(
        by token: TokenID, endTokens: [TokenID], in grammar: CompiledGrammar
    ) throws(GrammarError) {
        if isEnd, !hasEnded, endTokens.contains(token) {
            hasEnded = true
        } else {
            let bytes = grammar.vocabulary.bytes(of: token, isFirst: tokenCount == 0)
            guard !hasEnded, !endTokens.contains(token), let bytes, read(bytes, grammar.automaton) else {
                throw .tokenNotAllowed(token, index: tokenCount)
            }
        }
        tokenCount += 1
    }

    /// - Returns: false, and nothing is changed, if the bytes may not follow.
    mutating func read(_ bytes: [UInt8], _ automaton: Automaton) -> Bool {
        var stacks = stacks, threads = threads
        for byte in bytes {
            threads = stacks.step(stacks.closure(of: threads, automaton).threads, byte, automaton)
            if threads.isEmpty { return false }
        }
        if stacks.frameCount > Self.frameLimit { threads = stacks.compact(threads) }
        isEnd = stacks.closure(of: threads, automaton).isEnd
        (self.stacks, self.threads) = (stacks, threads)
        return true
    }
}
