import Foundation
import JSONReader
import Testing

@testable import Tokenizer

/// Good files with bits flipped, ends cut off, stretches moved and numbers exchanged must load or be refused.
@Suite struct MutationTests {
    @Test("Mutated files end in an error or in a tokenizer that works, never in a trap, and reach every check")
    func files() throws {
        var reached = Reached()
        for file in BadFile.all { _ = reached.load(file.json) }
        _ = reached.load(Data(repeating: UInt8(ascii: "["), count: 1000))

        let samples = try Self.samples()
        for sample in samples { _ = try Tokenizer(json: Data(sample)) }
        var slowest = Duration.zero
        for seed in 0..<8 {
            var random = SplitMix(seed: UInt64(seed))
            for _ in 0..<900 {
                let mutated = Data(Self.mutate(samples[random.below(samples.count)], by: &random))
                slowest = max(slowest, ContinuousClock().measure {
                    guard let tokenizer = reached.load(mutated) else { return }
                    let ids = (try? tokenizer.encode("Te <s> ab'S 12e\u{301}  x\n<s>")) ?? []
                    _ = tokenizer.decode(ids + [-1, 3, .max], skipSpecialTokens: false)
                })
            }
        }
        #expect(slowest < .seconds(1))
        // The mutations neither break every file nor none.
        #expect(reached.loadedCount > 500 && reached.refusedCount > 500, "\(reached)")
        #expect(reached.defects == Set(TokenizerError.Defect.allCases).subtracting([.invalidText]))
        #expect(reached.problems == Set(JSONError.Problem.allCases).subtracting([.tooLarge]))
        #expect(reached.hasDuplicateKey && reached.missesKey && reached.hasWrongType && reached.isUnsupported)
    }

    /// What became of the files so far.
    private struct Reached {
        var loadedCount = 0
        var refusedCount = 0
        var defects: Set<TokenizerError.Defect> = []
        var problems: Set<JSONError.Problem> = []
        var hasDuplicateKey = false
        var missesKey = false
        var hasWrongType = false
        var isUnsupported = false

        mutating func load(_ json: Data) -> Tokenizer? {
            do {
                let tokenizer = try Tokenizer(json: json)
                loadedCount += 1
                return tokenizer
            } catch {
                refusedCount += 1
                switch error {
                case .malformedJSON(_, .malformed(_, let problem)): problems.insert(problem)
                case .malformedJSON(_, .duplicateKey): hasDuplicateKey = true
                case .invalid(_, _, _, let defect): defects.insert(defect)
                case .missingKey: missesKey = true
                case .wrongType: hasWrongType = true
                case .unsupported: isUnsupported = true
                case .unreadableFile, .matchLimitExceeded: Issue.record(error)
                }
                return nil
            }
        }
    }

    @Test("Mutated tokenizer_config.json files do too")
    func configurations() throws {
        var random = SplitMix(seed: 99)
        let good = Array(#"""
            {"bos_token":"<s>","eos_token":{"content":"<s>","lstrip":false},
            "chat_template":[{"name":"default","template":"{{ x }}"}]}
            """#.utf8)
        var failures = 0
        for _ in 0..<2000 {
            let mutated = Self.mutate(good, by: &random)
            do {
                _ = try Tokenizer(json: Samples.json(), configuration: Data(mutated))
            } catch {
                failures += 1
            }
        }
        #expect(failures > 200 && failures < 2000)
    }

    /// Small files that use every component.
    private static func samples() throws -> [[UInt8]] {
        let variants: Variants = try Fixtures.decoded("variants.json")
        let template = Samples.template(
            single: #"[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}]"#)
        let rich = Samples.json(
            addedTokens: """
                [{"id":5,"content":"<s>","special":true},
                {"id":7,"content":"Te","normalized":true,"lstrip":true,"single_word":true}]
                """,
            normalizer: #"""
                {"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"},{"type":"Prepend","prepend":"▁"},
                {"type":"Replace","pattern":{"Regex":"\\s+"},"content":"x"}]}
                """#,
            preTokenizer: #"""
                {"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":
                "(?i:'s|'t)|[^\\r\\n\\p{L}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)"},"behavior":"Isolated","invert":false},
                {"type":"Digits","individual_digits":true},
                {"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true}]}
                """#,
            postProcessor: #"{"type":"Sequence","processors":[{"type":"ByteLevel"},\#(template)]}"#,
            decoder: """
                {"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
                {"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":1}]}
                """)
        // The rich one most often: in the others nearly all bytes are vocabulary.
        return Array(repeating: Array(rich), count: 30) + variants.variants.map { Array($0.tokenizer.utf8) }
    }

    private static func mutate(_ bytes: [UInt8], by random: inout SplitMix) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<(random.below(4) == 0 ? 3 : 1) where !bytes.isEmpty {
            let place = random.below(bytes.count)
            switch random.below(10) {
            case 0: bytes[place] ^= 1 << UInt8(random.below(8))
            case 1: bytes[place] = UInt8(random.below(256))
            case 2 where random.below(3) == 0: bytes.removeSubrange(place...)
            case 3:
                let end = min(place + 1 + random.below(12), bytes.count)
                bytes.removeSubrange(place..<end)
            case 4:
                let end = min(place + random.below(40), bytes.count)
                bytes.insert(contentsOf: bytes[place..<end], at: random.below(bytes.count))
            // Most other damage ends in the JSON parser; this one goes deeper.
            default: exchangeValue(in: &bytes, near: place, by: &random)
            }
        }
        return bytes
    }

    /// Puts another value where the next one after `place` stands.
    private static func exchangeValue(in bytes: inout [UInt8], near place: Int, by random: inout SplitMix) {
        let values = [
            "-1", "0", "5", "2147483647", "4294967296", "1e300", "99999999999999999999999", "true", "null", "\"\"", "\"<s>\"", "\"Fuse\"",
            "\"Sequence\"", "[]", "{}", "[[[[]]]]", "\"\\ud800\"", "\"(a*)*b\"", "1.5"]
        guard let colon = bytes[place...].firstIndex(of: UInt8(ascii: ":")),
            let end = bytes[(colon + 1)...].firstIndex(where: { [UInt8(ascii: ","), UInt8(ascii: "}")].contains($0) })
        else { return }
        bytes.replaceSubrange(colon + 1..<end, with: values[random.below(values.count)].utf8)
    }
}
