import Generation
@testable import Grammar
import Testing
import Tokenizer

/// Masks against a check of every token on its own.
@Suite struct MaskTests {
    private static let end: TokenID = 300

    /// The JSON vocabulary with an end token that spells nothing.
    private static let vocabulary: TokenVocabulary = {
        let json = TestVocabulary.json
        var inner: [[UInt8]?] = (0..<TokenID(json.size)).map { json.bytes(of: $0, isFirst: false) }
        while inner.count <= Int(end) { inner.append(nil) }
        return TokenVocabulary(inner: inner)
    }()

    private static let constraints: [OutputConstraint] = [
        .jsonObject, .jsonSchema("true"),
        .jsonSchema(##"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"},"ab":{"enum":["abc",12,null]}},"required":["b"]}"##),
        .jsonSchema(##"{"$defs":{"t":{"type":"object","properties":{"a":{"type":"array","items":{"$ref":"#/$defs/t"}}},"required":["a"]}},"$ref":"#/$defs/t"}"##),
        .jsonSchema(##"{"type":"string","maxLength":3,"minLength":1}"##), .jsonSchema(##"{"type":"string","pattern":"^a+\"?é*$"}"##),
        .jsonSchema(##"{"anyOf":[{"type":"array","items":{"type":"number","minimum":-3.25,"maximum":12}},{"type":"array","items":{"type":"string"}},{"const":{"a":[]}}]}"##),
        .regex("(ab|abc|\\d+\\.)*日?"), .grammar("root ::= \"(\" root \")\" root | \"[\" root? \"]\" | [a-c]{2,9}"),
        .grammar("root ::= s\ns ::= \"a\" s \"b\" | \"a\" s \"\\\"\" | \"tr\""),
    ]

    @Test(arguments: constraints.indices)
    func equalsTheCheckOfEveryToken(index: Int) throws {
        let grammar = try compile(Self.constraints[index], Self.vocabulary)
        var tables = MaskTables(grammar)
        for seed in 0..<12 as Range<UInt64> {
            var random = TestRandom(state: seed * 977 + UInt64(index)), state = grammar.start
            for _ in 0..<40 {
                let mask = tables.mask(of: state, endTokens: [Self.end])
                #expect(Set(mask.tokens) == grammar.naiveMask(of: state, endTokens: [Self.end]), "seed \(seed)")
                #expect(!mask.isEmpty)
                let token = random.pick(mask.tokens)
                try state.advance(by: token, endTokens: [Self.end], in: grammar)
                if state.hasEnded { break }
            }
            let after = tables.mask(of: state, endTokens: [Self.end])
            if state.hasEnded { #expect(after.isEmpty) }
        }
    }

    @Test func equalsTheCheckOnTheBundledVocabulary() throws {
        let vocabulary = try TestVocabulary.bundled()
        let grammar = try compile(Self.constraints[2], vocabulary)
        var tables = MaskTables(grammar), random = TestRandom(state: 5)
        for _ in 0..<6 {
            var state = grammar.start
            for _ in 0..<12 {
                let mask = tables.mask(of: state, endTokens: [2])
                let sample = (0..<150).map { _ in TokenID(random.below(vocabulary.size)) } + [0, 1, 2] + mask.tokens.prefix(100)
                #expect(Set(sample.filter(mask.contains)) == grammar.naiveMask(of: state, endTokens: [2], among: sample))
                try state.advance(by: random.pick(mask.tokens), endTokens: [2], in: grammar)
                if state.hasEnded { break }
            }
        }
    }

    /// Near the limit of nesting a mask cannot be put together from kept ones.
    @Test func holdsAtTheLimitOfNesting() throws {
        var limits = GrammarLimits()
        limits.depth = 6
        let source = OutputConstraint.grammar("root ::= \"x\" | \"(\" root \")\" | \"[\" list \"]\"\nlist ::= root (\",\" root)*")
        let words = ["((", "(((((", "[(", "[[[", "))", "x)", "x))))", "x]])", "(x", "((x)", ",x", ",((("]
        let grammar = try GrammarCompiler(vocabulary: TestVocabulary.bytes(and: words), limits: limits).compile(source)
        var tables = MaskTables(grammar), deepest: Int32 = 0
        for seed in 0..<60 as Range<UInt64> {
            var random = TestRandom(state: seed), state = grammar.start
            for _ in 0..<30 {
                let mask = tables.mask(of: state, endTokens: [])
                #expect(Set(mask.tokens) == grammar.naiveMask(of: state))
                deepest = max(deepest, state.threads.map { state.stacks.depth(of: $0.frame) }.max() ?? 0)
                // Only a complete answer may have nothing to follow.
                guard !mask.isEmpty else {
                    #expect(state.isEnd)
                    break
                }
                try state.advance(by: random.pick(mask.tokens), endTokens: [], in: grammar)
            }
        }
        #expect((5...6).contains(deepest))
    }

    @Test func theEndIsAllowedJustWhenTheAnswerIsComplete() throws {
        let grammar = try compile(.regex("a+b?"), Self.vocabulary)
        var tables = MaskTables(grammar), state = grammar.start
        func allowed(_ endTokens: [TokenID]) -> [TokenID] { tables.mask(of: state, endTokens: endTokens).tokens }
        #expect(!allowed([Self.end]).contains(Self.end))
        try state.advance(by: 0x61, endTokens: [Self.end], in: grammar)
        #expect(allowed([Self.end]).filter { $0 < 0x80 || $0 == Self.end } == [0x61, 0x62, Self.end])
        try state.advance(by: 0x62, endTokens: [Self.end], in: grammar)
        // Forced.
        #expect(allowed([Self.end]) == [Self.end])
        #expect(allowed([]).isEmpty)
        try state.advance(by: Self.end, endTokens: [Self.end], in: grammar)
        #expect(state.hasEnded)
        #expect(allowed([Self.end]).isEmpty)
        #expect(throws: GrammarError.tokenNotAllowed(0x61, index: 3)) { try state.advance(by: 0x61, endTokens: [Self.end], in: grammar) }
    }

    @Test func anEndTokenThatSpellsSomethingIsNoText() throws {
        // b ends this answer.
        let grammar = try compile(.regex("ab*"))
        var tables = MaskTables(grammar), state = grammar.start
        let first = tables.mask(of: state, endTokens: [0x62])
        #expect(!first.contains(0x62))
        try state.advance(by: 0x61, endTokens: [0x62], in: grammar)
        let second = tables.mask(of: state, endTokens: [0x62])
        #expect(second.tokens == [0x62])
        try state.advance(by: 0x62, endTokens: [0x62], in: grammar)
        #expect(state.hasEnded)
    }

    @Test func aRefusedTokenChangesNothing() throws {
        let grammar = try compile(.regex("abc"))
        var state = grammar.start
        try state.advance(by: 0x61, endTokens: [], in: grammar)
        let before = state
        for token: TokenID in [0x63, -1, 100_000] {
            #expect(throws: GrammarError.tokenNotAllowed(token, index: 1)) { try state.advance(by: token, endTokens: [], in: grammar) }
        }
        #expect(state == before)
    }

    /// What preemption, migration and death of a worker rest on.
    @Test(arguments: constraints.indices)
    func readingTheTokensAgainGivesTheSameState(index: Int) throws {
        let grammar = try compile(Self.constraints[index], Self.vocabulary), other = try compile(Self.constraints[index], Self.vocabulary)
        var tables = MaskTables(grammar), warm = MaskTables(other), random = TestRandom(state: 11), tokens: [TokenID] = []
        var state = grammar.start
        for _ in 0..<80 {
            let mask = tables.mask(of: state, endTokens: [Self.end])
            guard !mask.isEmpty else { break }
            tokens.append(random.pick(mask.tokens))
            try state.advance(by: tokens[tokens.count - 1], endTokens: [Self.end], in: grammar)
            var again = other.start
            for token in tokens { try again.advance(by: token, endTokens: [Self.end], in: other) }
            #expect(again == state)
            let masks = (warm.mask(of: again, endTokens: [Self.end]), tables.mask(of: state, endTokens: [Self.end]))
            #expect(masks.0 == masks.1)
        }
    }

    /// SentencePiece's decoders drop the first space of an answer.
    @Test func theFirstTokenMayBeginWithASpace() throws {
        let vocabulary = try TokenVocabulary( TestVocabulary.tokenizer("Tests/Fixtures/tokenizers/llama2.json"))
        let tokenizer = try TestVocabulary.tokenizer("Tests/Fixtures/tokenizers/llama2.json")
        let grammar = try compile(.regex(" ?[a-z]+"), vocabulary)
        var tables = MaskTables(grammar), random = TestRandom(state: 3), spaced = 0
        for _ in 0..<300 {
            var state = grammar.start, tokens: [TokenID] = []
            for _ in 0..<4 {
                let mask = tables.mask(of: state, endTokens: [])
                if tokens.isEmpty { #expect(Set(mask.tokens) == grammar.naiveMask(of: state)) }
                tokens.append(random.pick(mask.tokens))
                try state.advance(by: tokens[tokens.count - 1], endTokens: [], in: grammar)
            }
            let text = tokenizer.decode(tokens)
            #expect(grammar.acceptsBeginning(text.utf8), "\(tokens): \(text)")
            if tokenizer.token(tokens[0])?.hasPrefix("\u{2581}") == true { spaced += 1 }
        }
        #expect(spaced > 10)
    }

    @Test(arguments: ["gpt2", "llama2", "llama3", "mistral", "qwen2"])
    func tokensSpellWhatTheyDecodeTo(name: String) throws {
        let tokenizer = try TestVocabulary.tokenizer("Tests/Fixtures/tokenizers/\(name).json")
        let vocabulary = try TokenVocabulary(tokenizer)
        for text in ["{\"a\": [1, -2.5e3], \"é日\": \"😀\\n\"}\n", "  two  spaces\tand\ttabs", "x"] {
            let tokens = try tokenizer.encode(text, addSpecialTokens: false)
            var spelled: [UInt8] = []
            for (index, token) in tokens.enumerated() { spelled += vocabulary.bytes(of: token, isFirst: index == 0) ?? [] }
            #expect(String(decoding: spelled, as: UTF8.self) == tokenizer.decode(tokens))
        }
        for token in 0..<TokenID(vocabulary.size) where tokenizer.isSpecial(token) {
            #expect(vocabulary.bytes(of: token, isFirst: false) == nil)
        }
    }
}
