import Generation
import Grammar

extension FuzzTarget {
    /// Small, so that what an input may cost stays in proportion to inputs of the fuzzer's size.
    private static let limits: GrammarLimits = {
        var limits = GrammarLimits()
        limits.rules = 64
        limits.states = 1024
        limits.work = 60_000
        limits.alternatives = 16
        limits.depth = 24
        return limits
    }()
    private static let bytes = TokenVocabulary(inner: (0...255).map { [UInt8($0)] } + [nil])

    /// Compiles the constraint and writes an answer, byte by byte, from its masks: there is always a way on or to an end.
    static func constraint(_ constraint: OutputConstraint) throws -> FuzzOutcome {
        let grammar = try GrammarCompiler(vocabulary: bytes, limits: limits).compile(constraint)
        var tables = MaskTables(grammar), state = grammar.start, random = FuzzRandom(state: UInt64(grammar.stateCount))
        for _ in 0..<32 {
            let allowed = tables.mask(of: state, endTokens: [256]).tokens
            guard !allowed.isEmpty else { return .broken("nothing may follow \(state.tokenCount) bytes") }
            guard allowed.contains(256) == state.isEnd else { return .broken("the end after \(state.tokenCount) bytes") }
            try state.advance(by: allowed[random.below(allowed.count)], endTokens: [256], in: grammar)
            if state.hasEnded { break }
        }
        return .accepted
    }
}
