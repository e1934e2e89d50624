import Generation
import Grammar

/// An answer drawn from the masks of a grammar alone, as a model that knows nothing would write it, in some hurry to end.
public struct RandomAnswer: Sendable {
    public private(set) var tokens: [TokenID] = []
    public private(set) var bytes: [UInt8] = []
    /// Whether it ended by itself.
    public private(set) var isFinished = false

    /// - Parameters:
    ///   - endToken: ends the answer; a special one.
    ///   - maxTokens: the answer is cut there.
    ///   - observe: called with each state, and with the time that its mask and the token before it took.
    /// - Throws: ``GrammarError`` if a token of a mask is refused afterwards: a fault of ours.
    public init(
        from tables: inout MaskTables, endToken: TokenID, seed: UInt64, maxTokens: Int,
        observe: (GrammarState, Duration) -> Void = { _, _ in }
    ) throws(GrammarError) {
        let grammar = tables.grammar, clock = ContinuousClock()
        var draws = SeededDraws(state: seed), state = grammar.start, started = clock.now
        while tokens.count < maxTokens {
            let mask = tables.mask(of: state, endTokens: [endToken])
            observe(state, clock.now - started)
            guard let token = Self.draw(mask, grammar.vocabulary, endToken, &draws) else { return }
            started = clock.now
            try state.advance(by: token, endTokens: [endToken], in: grammar)
            if state.hasEnded {
                isFinished = true
                return
            }
            bytes += grammar.vocabulary.bytes(of: token, isFirst: tokens.isEmpty) ?? []
            tokens.append(token)
        }
    }

    /// The end in one of three cases, a token that closes something in one of three of the rest, else any.
    private static func draw(
        _ mask: TokenMask, _ vocabulary: TokenVocabulary, _ endToken: TokenID, _ draws: inout SeededDraws
    ) -> TokenID? {
        let allowed = mask.tokens
        if mask.contains(endToken), allowed.count == 1 || draws.below(3) == 0 { return endToken }
        let others = allowed.filter { $0 != endToken }
        if draws.below(3) == 0 {
            let closing = others.filter { vocabulary.bytes(of: $0, isFirst: false)?.first.map("\"}]".utf8.contains) ?? false }
            if !closing.isEmpty { return closing[draws.below(closing.count)] }
        }
        return others.isEmpty ? nil : others[draws.below(others.count)]
    }
}
