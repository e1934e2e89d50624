import Foundation
import Generation
import Tokenizer
@testable import Grammar

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct TestRandom {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }
    mutating func chance(of cases: Int) -> Bool { below(cases) == 0 }
    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
}

enum TestVocabulary {
    /// The 256 bytes, then `words`.
    static func bytes(and words: [String] = [], first: Bool = false) -> TokenVocabulary {
        TokenVocabulary(inner: (0..<256).map { [UInt8($0)] } + words.map { Array($0.utf8) })
    }

    /// Bytes and tokens that cross the borders of JSON's parts.
    static let json = bytes(and: [
        "{\"", "\":", "\": ", "\",", "\", \"", "\"}", "\"]", "}}", "}]", "],", "[]", "{}", "[{", "true", "false", "null", "tr", "ue", "12", "0.",
        "a\"", "ab", "abc", "\\\"", "\\u", "\\ud8", "\n", "\n  ", " \"", "é", "日本", ",\n", "-1", "e+", "\"a\":", "\"a\": \"", "\"b", "b\":1",
    ])

    static let house = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func tokenizer(_ path: String) throws -> Tokenizer {
        try Tokenizer(json: Data(contentsOf: house.appendingPathComponent(path)))
    }

    /// Of the bundled model.
    static func bundled() throws -> TokenVocabulary { try TokenVocabulary(tokenizer("Models/baton-tiny/tokenizer.json")) }
}

extension CompiledGrammar {
    /// The tokens that may follow, found one by one and byte by byte: what masks must equal.
    func naiveMask(of state: GrammarState, endTokens: [TokenID] = [], among tokens: [TokenID]? = nil) -> Set<TokenID> {
        Set((tokens ?? (0..<TokenID(vocabulary.size)).map { $0 }).filter { token in
            var next = state
            do { try next.advance(by: token, endTokens: endTokens, in: self) } catch { return false }
            return true
        })
    }
}

func compile(_ constraint: OutputConstraint, _ vocabulary: TokenVocabulary = TestVocabulary.json) throws -> CompiledGrammar {
    try GrammarCompiler(vocabulary: vocabulary).compile(constraint)
}

func compile(schema: String, _ vocabulary: TokenVocabulary = TestVocabulary.json) throws -> CompiledGrammar {
    try compile(.jsonSchema(schema), vocabulary)
}
