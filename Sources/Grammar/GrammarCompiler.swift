/// Makes grammars of constraints for one vocabulary. A value that may be used on any thread; compiling takes from microseconds to,
/// at the limits, seconds, so it belongs off the threads that serve.
public struct GrammarCompiler: Sendable {
    public let vocabulary: TokenVocabulary
    public let limits: GrammarLimits

    public init(vocabulary: TokenVocabulary, limits: GrammarLimits = GrammarLimits()) {
        self.vocabulary = vocabulary
        self.limits = limits
    }

    public func compile(_ constraint: OutputConstraint) throws(GrammarError) -> CompiledGrammar {
        CompiledGrammar(
            constraint: constraint, vocabulary: vocabulary, automaton: try Self.automaton(constraint, limits: limits))
    }

    /// Whether the constraint can be enforced, without any vocabulary: for those who only pass it on.
    public static func check(_ constraint: OutputConstraint, limits: GrammarLimits = GrammarLimits()) throws(GrammarError) {
        _ = try automaton(constraint, limits: limits)
    }

    static func automaton(_ constraint: OutputConstraint, limits: GrammarLimits) throws(GrammarError) -> Automaton {
        switch constraint {
        case .jsonObject: return try SchemaCompiler.automaton(#"{"type":"object"}"#, limits: limits)
        case .jsonSchema(let source): return try SchemaCompiler.automaton(source, limits: limits)
        case .grammar(let source): return try GBNFParser.automaton(source, limits: limits)
        case .regex(let pattern):
            var builder = AutomatonBuilder(limits: limits)
            let expression = try RegexParser.parse(pattern, limits: limits)
            let automaton = try expression.automaton(encoding: .utf8, &builder.budget)
            _ = try builder.rule("root", .automaton(automaton))
            return try builder.build()
        }
    }
}
