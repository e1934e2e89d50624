@testable import Grammar
import Testing

/// Sources that try to take more than they may: each ends in an error or in an automaton within the limits.
@Suite struct AdversarialTests {
    private static let limits: GrammarLimits = {
        var limits = GrammarLimits()
        limits.states = 60_000
        limits.work = 8_000_000
        limits.rules = 4000
        return limits
    }()

    private static func nested(_ open: String, _ inner: String, _ close: String, _ depth: Int) -> String {
        String(repeating: open, count: depth) + inner + String(repeating: close, count: depth)
    }

    private static func doubling(_ keyword: String, _ count: Int) -> String {
        let definitions = (0..<count).map { place in
            let next = "{\"$ref\":\"#/$defs/d\(place + 1)\"}"
            return "\"d\(place)\":{\"\(keyword)\":[\(next),\(next)]}"
        }
        return "{\"$defs\":{" + definitions.joined(separator: ",") + ",\"d\(count)\":{\"type\":\"null\"}},\"$ref\":\"#/$defs/d0\"}"
    }

    private static func product(_ count: Int) -> String {
        let choices = (0..<count).map { #"{"anyOf":[{"minimum":\#($0)},{"maximum":\#($0)}]}"# }
        return #"{"type":"integer","allOf":["# + choices.joined(separator: ",") + "]}"
    }

    /// What exceeds a limit.
    static let tooComplex: [(name: String, constraint: OutputConstraint)] = [
        ("counted counts", .regex("((((a{500}){500}){500}){500}){500}")),
        ("a count", .regex("(abc){1000000}")),
        // As a deterministic automaton, 2 to the 40th states.
        ("far behind", .regex("(a|b)*a(a|b){40}")),
        ("behind in a schema", .jsonSchema(#"{"type":"string","pattern":"a.{30}b.{30}c"}"#)),
        ("parentheses", .regex(nested("(", "a", ")", 100_000))),
        ("parentheses of a grammar", .grammar("root ::= " + nested("(", "\"a\"", ")", 100_000))),
        ("lengths", .jsonSchema(#"{"type":"string","minLength":900000}"#)),
        ("items", .jsonSchema(#"{"type":"array","minItems":900000}"#)),
        ("choices of choices", .jsonSchema(product(40))),
        ("patterns together", .jsonSchema(
            #"{"type":"string","allOf":["# + (1...9).map { #"{"pattern":"^(.{\#($0 * 13)})*$"}"# }.joined(separator: ",") + "]}")),
        ("rules", .grammar("root ::= r0\n" + (0..<9000).map { "r\($0) ::= \"a\" r\($0 + 1)" }.joined(separator: "\n") + "\nr9000 ::= \"b\"")),
    ]

    @Test(arguments: tooComplex.indices)
    func exceedsALimit(index: Int) {
        do {
            _ = try GrammarCompiler.automaton(Self.tooComplex[index].constraint, limits: Self.limits)
            Issue.record("\(Self.tooComplex[index].name) was accepted")
        } catch {
            guard case .tooComplex = error else {
                Issue.record("\(Self.tooComplex[index].name): \(error)")
                return
            }
        }
    }

    /// What is large and within the limits.
    static let large: [(name: String, constraint: OutputConstraint, text: String)] = [
        ("enum", .jsonSchema("{\"enum\":[" + (0..<3000).map { "\"v\($0 * 7919)\"" }.joined(separator: ",") + "]}"), "\"v\(2999 * 7919)\""),
        ("properties", .jsonSchema("{\"properties\":{" + (0..<400).map { "\"p\($0)\":{\"type\":\"null\"}" }.joined(separator: ",") + "}}"), #"{"p7":null,"p399":null}"#),
        ("nesting", .jsonSchema(nested(#"{"items":"#, "true", "}", 100)), nested("[", "1", "]", 100)),
        ("references twice", .jsonSchema(doubling("anyOf", 60)), "null"), ("all of references twice", .jsonSchema(doubling("allOf", 60)), "null"),
        // Backtracking takes exponential time on these.
        ("nested stars", .regex("((a*)*)*((a|a)*)*(a?){40}b"), String(repeating: "a", count: 60) + "b"),
        ("length", .jsonSchema(#"{"type":"string","maxLength":10000}"#), "\"" + String(repeating: "x", count: 9000) + "\""),
        ("choice of objects", .jsonSchema(
            "{\"anyOf\":[" + (0..<200).map { #"{"properties":{"same":{"type":"string"},"k\#($0)":{"type":"null"}}}"# }.joined(separator: ",") + "]}"),
         #"{"same":"a","k77":null}"#),
    ]

    @Test(arguments: large.indices)
    func isReadWithinTheLimits(index: Int) throws {
        let (name, constraint, text) = Self.large[index]
        let grammar = try GrammarCompiler(vocabulary: TestVocabulary.json, limits: Self.limits).compile(constraint)
        #expect(grammar.stateCount <= Self.limits.states, "\(name)")
        #expect(grammar.accepts(text.utf8), "\(name)")
        var tables = MaskTables(grammar), state = grammar.start
        let start = tables.mask(of: state, endTokens: [])
        #expect(!start.isEmpty)
        let isRead = state.read(Array(text.utf8.dropLast(1)), grammar.automaton)
        #expect(isRead)
        let end = tables.mask(of: state, endTokens: [])
        #expect(!end.isEmpty)
        #expect(tables.byteCount < 16 << 20)
    }

    /// Every place of the automaton is another one for the tables: they forget, and stay right.
    @Test func tablesStayBounded() throws {
        let vocabulary = TestVocabulary.json
        let grammar = try compile(.grammar("""
            root ::= ("a" x | "b" y | "(" root ")" | "[" root "]" | "{" root "}")+
            x ::= [a-z]{1,300} "."
            y ::= x{0,20} ("," | ";" root)
            """), vocabulary)
        var tables = MaskTables(grammar), random = TestRandom(state: 1), most = 0
        for _ in 0..<40 {
            var state = grammar.start
            for step in 0..<60 {
                let mask = tables.mask(of: state, endTokens: [])
                if step % 20 == 0 { #expect(Set(mask.tokens) == grammar.naiveMask(of: state)) }
                try state.advance(by: random.pick(mask.tokens), endTokens: [], in: grammar)
                most = max(most, tables.byteCount)
            }
        }
        #expect(most < 48 << 20)
    }
}
