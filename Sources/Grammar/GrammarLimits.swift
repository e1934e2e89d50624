/// What a constraint may cost. Sources come from clients: each of these ends in an error, never in a long wait.
public struct GrammarLimits: Sendable, Hashable {
    /// Bytes of the source text.
    public var sourceBytes = 1 << 20
    /// Rules of the grammar.
    public var rules = 1 << 14
    /// States of all rules together, and nodes of any graph on the way there.
    public var states = 1 << 17
    /// Elementary steps of making automata.
    public var work = 40_000_000
    /// Ways that `anyOf` and its like leave for one value.
    public var alternatives = 512
    /// Calls of rules within one another while an answer is read: deeper nesting is not allowed by the mask.
    public var depth = 512
    /// Parentheses in a source, within one another.
    public var nesting = 128

    public init() {}
}

/// What is left of the limits while one constraint is compiled.
struct Budget {
    let limits: GrammarLimits
    private(set) var workLeft: Int
    private(set) var statesLeft: Int

    init(_ limits: GrammarLimits) {
        self.limits = limits
        workLeft = limits.work
        statesLeft = limits.states
    }

    mutating func spend(_ work: Int) throws(GrammarError) {
        workLeft -= work
        guard workLeft >= 0 else { throw .tooComplex(.work) }
    }

    /// Counts states that stay.
    mutating func keep(states: Int) throws(GrammarError) {
        statesLeft -= states
        guard statesLeft >= 0 else { throw .tooComplex(.states) }
    }
}
