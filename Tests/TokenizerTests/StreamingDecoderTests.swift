import Foundation
import Generation
import Testing

@testable import Tokenizer

@Suite struct StreamingDecoderTests {
    @Test("Parts put together equal the whole text, and no part splits a character", arguments: Fixtures.kinds)
    func equalsDecode(kind: String) throws {
        let tokenizer = try Fixtures.tokenizer(kind)
        let expected: Expectation = try Fixtures.decoded("\(kind).expected.json")
        for sample in expected.decodings(of: try Fixtures.decoded("lines.json")) {
            for (skips, text) in [(false, sample.kept), (true, sample.skipped)] {
                let parts = Self.parts(of: sample.ids, tokenizer, skips: skips)
                #expect(sameBytes(parts.joined(), text), "\(kind): \(sample.ids)")
                // A replacement character in a part is one of the whole text: none stands for bytes yet to come.
                let count = { (text: String) in text.unicodeScalars.count { $0 == "\u{FFFD}" } }
                #expect(parts.reduce(0) { $0 + count($1) } == count(text), "\(kind): \(sample.ids)")
            }
        }
    }

    @Test("The streaming decoders of all variants equal their library's text")
    func variants() throws {
        let variants: Variants = try Fixtures.decoded("variants.json")
        for variant in variants.variants {
            let tokenizer = try Tokenizer(json: Data(variant.tokenizer.utf8))
            for sample in variant.expected.decodings(of: variants.lines) {
                let parts = Self.parts(of: sample.ids, tokenizer, skips: true)
                #expect(sameBytes(parts.joined(), sample.skipped), "\(variant.name): \(sample.ids)")
            }
        }
    }

    @Test("A character comes with its last byte, not before and not later")
    func timing() throws {
        let tokenizer = try Fixtures.tokenizer("gpt2")
        // U+1F980 as four byte tokens, then a letter.
        let bytes = try ["ð", "Ł", "¦", "Ģ"].map { try #require(tokenizer.id(of: $0)) }
        var decoder = StreamingDecoder(tokenizer: tokenizer)
        #expect(bytes.map { decoder.append($0) } == ["", "", "", "🦀"])
        #expect(decoder.finish() == "")

        // Cut short: a letter shows that the rest will not come, the end does too.
        let letter = try #require(tokenizer.id(of: "a"))
        #expect([bytes[0], bytes[1], letter].map { decoder.append($0) } == ["", "", "\u{FFFD}a"])
        _ = decoder.append(bytes[0])
        #expect(decoder.finish() == "\u{FFFD}")
        // After the end it starts anew.
        #expect(decoder.append(letter) == "a")
    }

    @Test("A run of byte tokens is judged as a whole")
    func byteFallbackRuns() throws {
        let tokenizer = try Fixtures.tokenizer("llama2")
        let crab = try [0xF0, 0x9F, 0xA6, 0x80].map {
            try #require(tokenizer.id(of: "<0x" + String($0, radix: 16, uppercase: true) + ">"))
        }
        let letter = try #require(tokenizer.id(of: "a"))
        var decoder = StreamingDecoder(tokenizer: tokenizer)
        #expect((crab + [letter]).map { decoder.append($0) } == ["", "", "", "", "🦀a"])
        #expect((crab + [crab[0], letter]).map { decoder.append($0) }.joined()
            == String(repeating: "\u{FFFD}", count: 5) + "a")
    }

    @Test("Any cut of any bytes is repaired as the whole is")
    func repair() {
        var random = SplitMix(seed: 7)
        let bytes: [UInt8] = [0x41, 0x80, 0xBF, 0xC0, 0xC2, 0xE0, 0xA0, 0xED, 0x9F, 0xEF, 0xF0, 0x90, 0xF4, 0x8F, 0xF5, 0xFF]
        for _ in 0..<20_000 {
            let text = (0..<random.below(12)).map { _ in bytes[random.below(bytes.count)] }
            var repair = UTF8Repair()
            var result: [UInt8] = []
            var start = 0
            while start < text.count {
                let end = min(start + 1 + random.below(3), text.count)
                result += repair.append(Array(text[start..<end]))
                start = end
            }
            result += repair.finish()
            #expect(result.elementsEqual(String(decoding: text, as: UTF8.self).utf8), "\(text)")
        }
    }

    @Test("Steps on the joined text see matches across tokens, and hold back no more than they must")
    func textSteps() throws {
        let decoder = #"{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Replace","pattern":{"String":"ab"},"content":"-"},"#
            + #"{"type":"Strip","content":"x","start":2,"stop":2}]}"#
        let tokenizer = try Tokenizer(json: Samples.json(decoder: decoder))
        func parts(_ tokens: String) throws -> [String] {
            try Self.parts(of: tokens.map { try #require(tokenizer.id(of: String($0))) }, tokenizer, skips: false)
        }
        #expect(try parts("aab") == ["", "a", "-", ""])
        #expect(try parts("aba") == ["", "-", "", "a"])
        #expect(try parts("xxxbxcxxx") == ["", "", "", "xb", "", "xc", "", "", "x", ""])
        #expect(try parts("xx") == ["", "", ""])
        #expect(try parts("x") == ["", ""])
    }

    @Test("Cost per token does not grow with what came before")
    func linear() throws {
        let tokenizer = try Fixtures.tokenizer("llama2")
        let byte = try #require(tokenizer.id(of: "<0xE5>"))
        let clock = ContinuousClock()
        var decoder = StreamingDecoder(tokenizer: tokenizer)
        var length = 0
        // A run that never ends is the worst case: 400,000 tokens would take minutes in quadratic time.
        let time = clock.measure {
            for _ in 0..<400_000 { length += decoder.append(byte).utf8.count }
            length += decoder.finish().utf8.count
        }
        #expect(length == 3 * 400_000)
        #expect(time < .seconds(10))
    }

    private static func parts(of ids: [TokenID], _ tokenizer: Tokenizer, skips: Bool) -> [String] {
        var decoder = StreamingDecoder(tokenizer: tokenizer, skipSpecialTokens: skips)
        return ids.map { decoder.append($0) } + [decoder.finish()]
    }
}
