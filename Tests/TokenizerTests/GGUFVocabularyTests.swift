import Foundation
import Generation
import Testing

@testable import Tokenizer

/// Vocabularies as GGUF files hold them: `make_gguf.py` in `Tests/Fixtures/gguf` writes the same with llama.cpp's package.
@Suite struct GGUFVocabularyTests {
    /// A `tokenizer.json` of the fixtures in the shape of a GGUF vocabulary, as llama.cpp's converter puts it.
    static func vocabulary(_ kind: String, pre: String, bos: Int? = nil) throws -> GGUFVocabulary {
        let root = try #require(try JSONSerialization.jsonObject(with: Fixtures.data("\(kind).json")) as? [String: Any])
        let model = try #require(root["model"] as? [String: Any])
        let vocabulary = try #require(model["vocab"] as? [String: Int])
        var tokens = Dictionary(uniqueKeysWithValues: vocabulary.map { ($1, (Array($0.utf8), 1)) })
        for added in try #require(root["added_tokens"] as? [[String: Any]]) {
            let content = try #require(added["content"] as? String), id = try #require(added["id"] as? Int)
            tokens[id] = (Array(content.utf8), added["special"] as? Bool == true ? 3 : 4)
        }
        var gguf = GGUFVocabulary(file: "x.gguf", model: "gpt2", tokens: try (0..<tokens.count).map { try #require(tokens[$0]).0 })
        gguf.types = try (0..<tokens.count).map { try #require(tokens[$0]).1 }
        gguf.pre = pre
        gguf.merges = try #require(model["merges"] as? [Any]).map { merge in
            Array(((merge as? [String])?.joined(separator: " ") ?? merge as? String ?? "").utf8)
        }
        gguf.bosToken = bos
        return gguf
    }

    /// Tokens of the fixtures that a GGUF file has no way to describe: they take white space along, stand alone, or are
    /// looked for in composed text.
    static let indescribable = ["gpt2": ["[W]", "<keep>", "<left>", "<right>"], "llama3": ["<pad>"], "qwen2": ["caf"]]

    @Test(arguments: [("gpt2", "gpt-2", nil), ("gpt2", "default", nil), ("llama3", "llama-bpe", 0), ("qwen2", "qwen2", nil)] as [(String, String, Int?)])
    func byteLevelIdsEqualHuggingFace(kind: String, pre: String, bos: Int?) throws {
        let tokenizer = try Tokenizer(Self.vocabulary(kind, pre: pre, bos: bos))
        let expected: Expectation = try Fixtures.decoded("\(kind).expected.json"), lines: [String] = try Fixtures.decoded("lines.json")
        var compared = 0
        for (line, ids) in zip(lines, expected.ids) {
            if Self.indescribable[kind, default: []].contains(where: { line.contains($0) }) { continue }
            #expect(try tokenizer.encode(line) == expected.prefix + ids + expected.suffix, "\(line.debugDescription)")
            compared += 1
        }
        #expect(compared > 2300)
        for sample in expected.samples {
            if sample.kept.contains("<") || Self.indescribable[kind, default: []].contains(where: { sample.kept.contains($0) }) { continue }
            #expect(sameBytes(tokenizer.decode(sample.ids, skipSpecialTokens: false), sample.kept))
        }
    }

    struct SentencePiece: Decodable {
        var tokens: [String]
        var scores: [Float]
        var types: [Int]
        var ids: [[TokenID]?]

        var vocabulary: GGUFVocabulary {
            var gguf = GGUFVocabulary(file: "x.gguf", model: "llama", tokens: tokens.map { Array($0.utf8) })
            (gguf.scores, gguf.types, gguf.unknownToken, gguf.bosToken, gguf.eosToken) = (scores, types, 0, 1, 2)
            return gguf
        }

        static func load() throws -> SentencePiece { try Fixtures.decoded("../gguf/sentencepiece.json") }
    }

    @Test func scoresMergeAsSentencePieceDoes() throws {
        let expected = try SentencePiece.load(), lines: [String] = try Fixtures.decoded("lines.json")
        let tokenizer = try Tokenizer(expected.vocabulary)
        #expect(tokenizer.bosToken == 1 && tokenizer.eosToken == 2 && tokenizer.isSpecial(2) && !tokenizer.isSpecial(300))
        var compared = 0
        for (line, ids) in zip(lines, expected.ids) {
            guard let ids else { continue }
            #expect(try tokenizer.encode(line) == [1] + ids, "\(line.debugDescription)")
            // The sign for a space reads as one.
            #expect(sameBytes(tokenizer.decode(ids), line.replacingOccurrences(of: "\u{2581}", with: " ")), "\(line.debugDescription)")
            compared += 1
        }
        #expect(compared > 2000)
        #expect(try tokenizer.encode("a<s>b", addSpecialTokens: false).contains(1))
    }

    @Test func aSpaceIsAddedOnlyIfTheFileSaysSo() throws {
        var vocabulary = try SentencePiece.load().vocabulary
        vocabulary.addsSpacePrefix = false
        vocabulary.addsBOS = false
        vocabulary.addsEOS = true
        let tokenizer = try Tokenizer(vocabulary)
        let ids = try tokenizer.encode("river")
        #expect(ids.last == 2 && ids.first != 1)
        #expect(tokenizer.decode(ids) == "river")
        #expect(tokenizer.decode(try tokenizer.encode(" river")) == " river")
    }

    @Test func smolLMSplitsDigitsAndTekkenCases() throws {
        var vocabulary = try Self.vocabulary("gpt2", pre: "smollm")
        let digits = try Tokenizer(vocabulary).encode("2024")
        #expect(digits.count == 4)
        vocabulary.pre = "tekken"
        vocabulary.addsBOS = false
        let tekken = try Tokenizer(vocabulary)
        #expect(tekken.decode(try tekken.encode("HelloWorld 12/\n naïve")) == "HelloWorld 12/\n naïve")
        let pieces = try GGUFPreTokenizer.tekken.preTokenizer.split([Piece(bytes: Array("HelloWORLDcamelCase 42".utf8)[...], startsText: true)])
        #expect(pieces.map { String(decoding: $0.bytes, as: UTF8.self) } == ["Hello", "WORLDcamel", "Case", "\u{120}", "4", "2"])
    }

    @Test func aTokenizerBecomesAVocabularyAndBack() throws {
        let lines: [String] = try Fixtures.decoded("lines.json")
        let original = try Tokenizer(Self.vocabulary("llama3", pre: "llama-bpe", bos: 0))
        var vocabulary = try GGUFVocabulary(original, file: "y.gguf", size: 1010)
        #expect(vocabulary.pre == "llama-bpe" && vocabulary.addsBOS == true && vocabulary.bosToken == 0)
        #expect(vocabulary.tokens.count == 1010 && vocabulary.types?.last == 5)
        #expect(vocabulary.merges == (try Self.vocabulary("llama3", pre: "llama-bpe")).merges)
        vocabulary.chatTemplate = "x"
        let copy = try Tokenizer(vocabulary)
        #expect(copy.chatTemplate == "x")
        // An unused id stands for nothing.
        #expect(copy.token(1005) == nil && copy.decode([1005]).isEmpty && copy.idBound == 1000)
        for line in lines { #expect(try copy.encode(line) == original.encode(line)) }
        // What the format cannot say is refused.
        for (kind, key) in [("llama2", "pre_tokenizer"), ("gpt2", "added_tokens"), ("qwen2", "added_tokens")] {
            let error = #expect(throws: TokenizerError.self) { try GGUFVocabulary(Fixtures.tokenizer(kind), file: "z", size: 2000) }
            guard case .unsupported("z", key, _)? = error else { Issue.record("\(kind): \(String(describing: error))"); continue }
        }
        #expect(throws: TokenizerError.self) { try GGUFVocabulary(original, file: "z", size: 10) }
    }

    /// A change of a good vocabulary, and the key and defect that it is refused for.
    struct Bad: CustomTestStringConvertible, Sendable {
        var kind: String
        var key: String
        var defect: TokenizerError.Defect?
        var change: @Sendable (inout GGUFVocabulary) -> Void
        var testDescription: String { "\(kind) \(key) \(defect?.rawValue ?? "")" }
    }

    static let refused: [Bad] = [
        Bad(kind: "gpt2", key: "model", defect: nil) { $0.model = "bert" },
        Bad(kind: "gpt2", key: "pre", defect: nil) { $0.pre = "falcon" },
        Bad(kind: "gpt2", key: "pre", defect: nil) { $0.pre = nil },
        Bad(kind: "gpt2", key: "merges", defect: nil) { $0.merges = nil },
        Bad(kind: "gpt2", key: "merges[0]", defect: .malformedMerge) { $0.merges?[0] = Array("ab".utf8) },
        Bad(kind: "gpt2", key: "merges[1]", defect: .mergeOutOfVocabulary) { $0.merges?[1] = Array("zz qq".utf8) },
        Bad(kind: "gpt2", key: "token_type", defect: .mismatchedCounts) { $0.types?.removeLast() },
        Bad(kind: "gpt2", key: "token_type[3]", defect: nil) { $0.types?[3] = 9 },
        Bad(kind: "gpt2", key: "tokens[5]", defect: .emptyToken) { $0.tokens[5] = [] },
        Bad(kind: "gpt2", key: "tokens[5]", defect: .invalidText) { $0.tokens[5] = [0xff] },
        Bad(kind: "gpt2", key: "tokens[5]", defect: .duplicateToken) { $0.tokens[5] = $0.tokens[4] },
        Bad(kind: "gpt2", key: "bos_token_id", defect: .unknownTokenID) { $0.bosToken = 1 << 40 },
        Bad(kind: "gpt2", key: "eos_token_id", defect: .unknownTokenID) { $0.eosToken = -1 },
        Bad(kind: "gpt2", key: "bos_token_id", defect: nil) { $0.addsBOS = true },
        Bad(kind: "gpt2", key: "eos_token_id", defect: nil) { $0.addsEOS = true },
        Bad(kind: "llama", key: "scores", defect: nil) { $0.scores = nil },
        Bad(kind: "llama", key: "scores", defect: .mismatchedCounts) { $0.scores?.append(0) },
        Bad(kind: "llama", key: "scores[400]", defect: .numberOutOfRange) { $0.scores?[400] = .nan },
        Bad(kind: "llama", key: "tokens[400]", defect: .tokenTooLong) { $0.tokens[400] = Array(repeating: 0x61, count: 300) },
        Bad(kind: "llama", key: "unknown_token_id", defect: .unknownTokenID) { $0.unknownToken = 900 },
    ]

    @Test(arguments: refused)
    func aBadVocabularyIsRefusedByKey(bad: Bad) throws {
        var vocabulary = bad.kind == "llama" ? try SentencePiece.load().vocabulary : try Self.vocabulary("gpt2", pre: "gpt-2")
        _ = try Tokenizer(vocabulary)
        bad.change(&vocabulary)
        let error = #expect(throws: TokenizerError.self) { try Tokenizer(vocabulary) }
        let key = "tokenizer.ggml." + bad.key
        switch error {
        case .invalid("x.gguf", key, _, let defect): #expect(defect == bad.defect)
        case .missingKey("x.gguf", key), .unsupported("x.gguf", key, _): #expect(bad.defect == nil)
        default: Issue.record("\(String(describing: error))")
        }
    }
}
