import Generation

/// A constraint made ready for a vocabulary. Does not change; what masks need beside it is kept by ``MaskTables``.
public final class CompiledGrammar: Sendable {
    public let constraint: OutputConstraint
    public let vocabulary: TokenVocabulary
    let automaton: Automaton

    init(constraint: OutputConstraint, vocabulary: TokenVocabulary, automaton: Automaton) {
        self.constraint = constraint
        self.vocabulary = vocabulary
        self.automaton = automaton
    }

    /// Before an answer's first token.
    public var start: GrammarState { GrammarState(self) }

    /// States of the automaton, for reports.
    public var stateCount: Int { automaton.stateCount }
    /// Memory, without the vocabulary.
    public var byteCount: Int { automaton.byteCount }

    /// Whether the constraint allows the text, taken as bytes: what tokens put together must spell.
    public func accepts(_ text: some Sequence<UInt8>) -> Bool { state(after: text)?.isEnd ?? false }

    /// Whether some text that the constraint allows begins like this.
    public func acceptsBeginning(_ text: some Sequence<UInt8>) -> Bool { state(after: text) != nil }

    private func state(after text: some Sequence<UInt8>) -> GrammarState? {
        var state = start
        return state.read(Array(text), automaton) ? state : nil
    }
}
