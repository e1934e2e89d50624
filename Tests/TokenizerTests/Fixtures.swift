import Foundation
import Generation
import Testing

@testable import Tokenizer

/// What the `tokenizers` library made of the lines: see `Tests/Fixtures/tokenizers/make_fixtures.py`.
struct Expectation: Decodable {
    /// Special tokens before and after every line.
    let prefix: [TokenID]
    let suffix: [TokenID]
    /// By line, without special tokens.
    let ids: [[TokenID]]
    private let decoded: [DecodedLine]
    let samples: [Sample]

    /// Texts of a line with its special tokens, keeping and skipping them, where they differ from the line.
    private struct DecodedLine: Decodable {
        let index: Int
        let kept: String
        let skipped: String

        init(from decoder: any Swift.Decoder) throws {
            var container = try decoder.unkeyedContainer()
            index = try container.decode(Int.self)
            kept = try container.decode(String.self)
            skipped = try container.decode(String.self)
        }
    }

    /// Any tokens, with their texts.
    struct Sample: Decodable {
        let ids: [TokenID]
        let kept: String
        let skipped: String

        init(ids: [TokenID], kept: String, skipped: String) {
            self.ids = ids
            self.kept = kept
            self.skipped = skipped
        }

        init(from decoder: any Swift.Decoder) throws {
            var container = try decoder.unkeyedContainer()
            ids = try container.decode([TokenID].self)
            kept = try container.decode(String.self)
            skipped = try container.decode(String.self)
        }
    }

    /// All that can be decoded: the lines, then the samples.
    func decodings(of lines: [String]) -> [Sample] {
        var texts = lines.map { (kept: $0, skipped: $0) }
        for line in decoded { texts[line.index] = (line.kept, line.skipped) }
        return zip(ids, texts).map { ids, text in
            Sample(ids: prefix + ids + suffix, kept: text.kept, skipped: text.skipped)
        } + samples
    }
}

struct Variants: Decodable {
    struct Variant: Decodable {
        let name: String
        let tokenizer: String
        let expected: Expectation
    }

    let lines: [String]
    let variants: [Variant]
}

enum Fixtures {
    static let kinds = ["gpt2", "llama3", "qwen2", "llama2", "mistral"]

    private static let directory = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Fixtures/tokenizers")

    static func data(_ name: String) throws -> Data {
        try Data(contentsOf: directory.appendingPathComponent(name))
    }

    static func decoded<Value: Decodable>(_ name: String, as type: Value.Type = Value.self) throws -> Value {
        try JSONDecoder().decode(type, from: data(name))
    }

    static func tokenizer(_ kind: String) throws -> Tokenizer {
        try Tokenizer(json: data("\(kind).json"))
    }
}

/// Equal as bytes: `String` calls canonically equivalent texts equal, and a tokenizer must not.
func sameBytes(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }

/// Checks a tokenizer against everything the library said about it.
func check(_ tokenizer: Tokenizer, _ expected: Expectation, lines: [String], name: String) throws {
    #expect(expected.ids.count == lines.count)
    for (line, ids) in zip(lines, expected.ids) {
        let bare = try tokenizer.encode(line, addSpecialTokens: false)
        #expect(bare == ids, "\(name): \(line.debugDescription)")
        #expect(try tokenizer.encode(line) == expected.prefix + ids + expected.suffix, "\(name): \(line.debugDescription)")
    }
    for sample in expected.decodings(of: lines) {
        for (skips, text) in [(false, sample.kept), (true, sample.skipped)] {
            let decoded = tokenizer.decode(sample.ids, skipSpecialTokens: skips)
            #expect(
                sameBytes(decoded, text),
                "\(name): \(sample.ids): \(decoded.debugDescription) instead of \(text.debugDescription)")
        }
    }
}
