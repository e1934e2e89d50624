@testable import Grammar
import Testing

@Suite struct GBNFTests {
    private func grammar(_ source: String) throws -> CompiledGrammar { try compile(.grammar(source)) }

    private func expectRead(_ bytes: [UInt8], _ state: inout GrammarState, _ grammar: CompiledGrammar) {
        let isRead = state.read(bytes, grammar.automaton)
        #expect(isRead)
    }

    @Test func readsRulesOverSeveralLines() throws {
        let grammar = try grammar("""
            # A sum.
            root ::= (term
                ("+" term)*   # more
            ) "=" |
                "none"
            term  ::= [0-9]+ | "(" root ")"
            """)
        for text in ["1=", "12+3=", "none", "(1+2=)+3=", "((none)=)="] { #expect(grammar.accepts(text.utf8), "\(text)") }
        for text in ["", "1", "1+=", "(1)=", "()="] { #expect(!grammar.accepts(text.utf8), "\(text)") }
    }

    @Test func readsLiteralsAndClasses() throws {
        let grammar = try grammar(#"root ::= "a\"\\\n\x41\u00e9\U0001F600" [^a-y\]\-] . [x\x2d-\x2f]{2,3} "b"{,1} "c"{1} """#)
        #expect(grammar.accepts("a\"\\\nAé😀z\nx.c".utf8))
        #expect(grammar.accepts("a\"\\\nAé😀日é../bc".utf8))
        #expect(!grammar.accepts("a\"\\\nAé😀a\nx.c".utf8))
        #expect(!grammar.accepts("a\"\\\nAé😀zzx.cc".utf8))
    }

    @Test func bracketsOfAnyDepthMatch() throws {
        let grammar = try grammar(#"root ::= "" | "(" root ")" root | "[" root "]" root"#)
        #expect(grammar.accepts("([()])[]".utf8))
        #expect(!grammar.accepts("([)]".utf8))
        let deep = 400
        #expect(grammar.accepts((String(repeating: "([", count: deep / 2) + String(repeating: "])", count: deep / 2)).utf8))
        // Deeper than the limit nothing can be opened, and what is open can be closed.
        let limit = GrammarLimits().depth
        #expect(!grammar.acceptsBeginning(String(repeating: "(", count: limit + 2).utf8))
        var state = grammar.start, depth = 0
        while state.read([UInt8(ascii: "(")], grammar.automaton) { depth += 1 }
        #expect((limit - 2...limit + 1).contains(depth))
        for _ in 0..<depth { expectRead([UInt8(ascii: ")")], &state, grammar) }
        #expect(state.isEnd)
    }

    @Test func anAmbiguousGrammarHasFewThreads() throws {
        // Each a may be in any of the rules, and each opening may return to two places.
        let grammar = try grammar("""
            root ::= s
            s ::= "a" s "b" | "a" s "c" | t s | "x"
            t ::= "a" | "a" "a" | u
            u ::= "a" u? | "aa"
            """)
        var state = grammar.start
        for _ in 0..<60 {
            expectRead([UInt8(ascii: "a")], &state, grammar)
            #expect(state.threads.count <= grammar.stateCount)
            #expect(state.stacks.frameCount < 5000)
        }
        expectRead(Array("xbcbc".utf8), &state, grammar)
        #expect(state.isEnd)
    }

    @Test func rightRecursionNeedsNoDepth() throws {
        let grammar = try grammar("""
            root ::= item | item "," root
            item ::= [a-z]+
            """)
        var state = grammar.start
        for _ in 0..<5000 { expectRead(Array("ab,".utf8), &state, grammar) }
        #expect(state.stacks.frameCount < 300)
    }

    @Test(arguments: [
        ("root ::= a", GrammarError.undefinedRule("a")), ("a ::= \"x\"", .undefinedRule("root")),
        ("root ::= root \"a\" | \"b\"", .leftRecursion(rule: "root")),
        ("root ::= n a \"x\" | \"b\"\na ::= n root\nn ::= \"y\"?", .leftRecursion(rule: "root")),
        ("root ::= \"a\" root", .unsatisfiable), ("root ::= []", .unsatisfiable),
    ])
    func refusesGrammarsThatLeadNowhere(source: String, error: GrammarError) {
        #expect(throws: error) { try grammar(source) }
    }

    @Test(arguments: [
        "root", "root =", "root ::= \"a", "root ::= [a", "root ::= (\"a\"", "root ::= \"a\")", "root ::= \"a\"\nroot ::= \"b\"", "root ::= \"\\q\"",
        "root ::= \"a\"**", "root ::= [b-a]", "root ::= \"a\"{3,2}", "::= \"a\"", "root ::= \"\\ud800\"",
    ])
    func refusesWhatItCannotRead(source: String) {
        #expect(throws: GrammarError.self, "\(source)") { try grammar(source) }
    }
}
