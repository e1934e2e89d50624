import Foundation
import Generation
import JSONReader
import Testing

@testable import Tokenizer

@Suite struct BPETests {
    private static func model(_ json: String) throws -> BPE {
        try BPE(JSONDocument.file("tokenizer.json", Array(json.utf8)).root, idLimit: 1000)
    }

    private static func encode(_ word: String, with model: BPE) -> [TokenID] {
        var tokens: [TokenID] = []
        model.encode(Array(word.utf8)[...], into: &tokens)
        return tokens
    }

    @Test("Lowest rank first, leftmost first among equals")
    func order() throws {
        let model = try Self.model(#"{"vocab":{"a":0,"aa":1,"aaa":2,"b":3,"ab":4},"merges":[["a","a"],["a","b"],["aa","a"]]}"#)
        #expect(Self.encode("aaa", with: model) == [2])
        #expect(Self.encode("aaaa", with: model) == [1, 1])
        #expect(Self.encode("aab", with: model) == [1, 3])
        #expect(Self.encode("ab", with: model) == [4])
        #expect(Self.encode("aaaaab", with: model) == [1, 1, 4])
    }

    @Test("Merges as strings and as pairs are the same; pairs may hold spaces")
    func mergeFormats() throws {
        let pairs = try Self.model(#"{"vocab":{"a":0," ":1,"a ":2,"aa":3},"merges":[["a","a"],["a"," "]]}"#)
        #expect(Self.encode("a a aa", with: pairs) == [2, 2, 3])
        let strings = try Self.model(##"{"vocab":{"a":0,"aa":3},"merges":["#version: 0.2","a a"]}"##)
        #expect(Self.encode("aaa", with: strings) == [3, 0])
    }

    @Test("Unknown characters fuse, fall back to bytes, or vanish")
    func unknown() throws {
        let vocab = #""vocab":{"a":0,"<unk>":1,"<0xC3>":2,"<0xA9>":3},"merges":[]"#
        #expect(Self.encode("zaz", with: try Self.model("{\(vocab)}")) == [0])
        #expect(Self.encode("zzaz", with: try Self.model(#"{\#(vocab),"unk_token":"<unk>"}"#)) == [1, 1, 0, 1])
        let fused = try Self.model(#"{\#(vocab),"unk_token":"<unk>","fuse_unk":true}"#)
        #expect(Self.encode("zzaz", with: fused) == [1, 0, 1])
        let bytes = try Self.model(#"{\#(vocab),"unk_token":"<unk>","fuse_unk":true,"byte_fallback":true}"#)
        #expect(Self.encode("aéa", with: bytes) == [0, 2, 3, 0])
        #expect(Self.encode("aèa", with: bytes) == [0, 1, 0])
    }

    @Test("A word that is a token stays whole only if the file says so")
    func ignoreMerges() throws {
        let vocab = #""vocab":{"a":0,"b":1,"ab":2,"aba":3},"merges":["a b"]"#
        #expect(Self.encode("aba", with: try Self.model("{\(vocab)}")) == [2, 0])
        #expect(Self.encode("aba", with: try Self.model(#"{\#(vocab),"ignore_merges":true}"#)) == [3])
    }

    @Test("Canonically equivalent tokens are different tokens")
    func canonicalEquivalence() throws {
        let model = try Self.model("{\"vocab\":{\"\u{E9}\":0,\"e\":1,\"\u{301}\":2,\"e\u{301}\":3,\"\u{212B}\":4,\"\u{C5}\":5},\"merges\":[]}")
        #expect(model.vocabulary.count == 6)
        #expect(Self.encode("\u{E9}", with: model) == [0])
        #expect(Self.encode("e\u{301}", with: model) == [1, 2])
        #expect(Self.encode("\u{212B}\u{C5}", with: model) == [4, 5])
        #expect(model.vocabulary.id(of: Array("e\u{301}".utf8)) == 3)
    }

    @Test("A cached word keeps its tokens, however many words come between")
    func cache() throws {
        let tokenizer = try Fixtures.tokenizer("gpt2")
        let words = (0..<30_000).map { "w\($0 * 7919)" }
        let first = try words.map { try tokenizer.encode($0) }
        #expect(try words.map { try tokenizer.encode($0) } == first)
        #expect(words.indices.allSatisfy { tokenizer.decode(first[$0]) == words[$0] })
    }

    @Test("A word of 300,000 letters takes no quadratic time", arguments: Fixtures.kinds)
    func longWord(kind: String) throws {
        let tokenizer = try Fixtures.tokenizer(kind)
        var random = SplitMix(seed: 3)
        let letters = Array("etaoinshrdlu".utf8)
        for text in [
            String(decoding: (0..<300_000).map { _ in letters[random.below(letters.count)] }, as: UTF8.self),
            String(repeating: "e", count: 300_000), "x" + String(repeating: " ", count: 300_000),
            "x" + String(repeating: "\n ", count: 150_000),
        ] {
            var tokens: [TokenID] = []
            let time = try ContinuousClock().measure { tokens = try tokenizer.encode(text) }
            #expect(time < .seconds(5))
            #expect(tokenizer.decode(tokens) == text)
        }
    }
}
