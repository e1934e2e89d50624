import Foundation
import Generation
@testable import Grammar
import JSONReader
import Testing

/// Schemas at random, and answers at random from their masks. (`validate_schemas.py` beside this does the same with a validator that others wrote.)
@Suite struct RandomSchemaTests {
    /// A schema with a check of its own, made side by side.
    private struct Made {
        var schema: String
        var isValid: (JSONValue) -> Bool
    }

    private static func make(_ random: inout TestRandom, depth: Int) -> Made {
        switch random.below(depth > 0 ? 9 : 6) {
        case 0: return Made(schema: #"{"type":"null"}"#) { $0.isNull }
        case 1: return Made(schema: #"{"type":"boolean"}"#) { $0.boolean != nil }
        case 2:
            let low = random.below(400) - 200, high = low + random.below(300)
            return Made(schema: #"{"type":"integer","minimum":\#(low),"maximum":\#(high)}"#) { ($0.integer).map { (low...high).contains($0) } ?? false }
        case 3:
            let low = Double(random.below(4000) - 2000) / 100, high = low + Double(1 + random.below(500)) / 50
            return Made(schema: #"{"type":"number","minimum":\#(low),"exclusiveMaximum":\#(high)}"#) { ($0.number).map { $0 >= low && $0 < high } ?? false }
        case 4:
            let least = random.below(4), most = least + random.below(6)
            return Made(schema: #"{"type":"string","minLength":\#(least),"maxLength":\#(most)}"#) {
                $0.text.map { (least...most).contains($0.unicodeScalars.count) } ?? false
            }
        case 5:
            let values = (0...random.below(5)).map { #""\#($0)é\#(random.below(100))""# } + ["7", "null"]
            return Made(schema: #"{"enum":[\#(values.joined(separator: ","))]}"#) { value in
                values.contains { $0 == "\"\(value.text ?? "")\"" || value.integer == 7 && $0 == "7" || value.isNull && $0 == "null" }
            }
        case 6:
            let item = make(&random, depth: depth - 1), least = random.below(3), most = least + random.below(4)
            return Made(schema: #"{"type":"array","items":\#(item.schema),"minItems":\#(least),"maxItems":\#(most)}"#) {
                guard let array = $0.array else { return false }
                return (least...most).contains($0.count) && array.allSatisfy(item.isValid)
            }
        case 7:
            let choices = (0...random.below(3)).map { _ in make(&random, depth: depth - 1) }
            return Made(schema: #"{"anyOf":[\#(choices.map(\.schema).joined(separator: ","))]}"#) { value in choices.contains { $0.isValid(value) } }
        default: return object(&random, depth: depth)
        }
    }

    private static func object(_ random: inout TestRandom, depth: Int) -> Made {
        let members = (0..<random.below(5)).map { (name: "k\($0)\"ü", value: make(&random, depth: depth - 1), isRequired: random.chance(of: 2)) }
        let others = random.chance(of: 3) ? make(&random, depth: 0) : nil
        func quoted(_ name: String) -> String { "\"" + name.replacingOccurrences(of: "\"", with: "\\\"") + "\"" }
        let properties = members.map { "\(quoted($0.name)):\($0.value.schema)" }.joined(separator: ",")
        let required = members.filter(\.isRequired).map { quoted($0.name) }.joined(separator: ",")
        return Made(schema: #"{"type":"object","properties":{\#(properties)},"required":[\#(required)],"additionalProperties":\#(others?.schema ?? "false")}"#) { value in
            guard let object = value.object else { return false }
            for member in members where member.isRequired { if object[member.name] == nil { return false } }
            return object.allSatisfy { key, value in
                guard let member = members.first(where: { $0.name == key.text }) else { return others?.isValid(value) ?? false }
                return member.value.isValid(value)
            }
        }
    }

    @Test func finishedAnswersAreValidAndOthersMayBecomeSo() throws {
        let vocabulary = try TestVocabulary.bundled()
        let compiler = GrammarCompiler(vocabulary: vocabulary)
        var finished = 0, cut = 0
        for seed in 0..<150 as Range<UInt64> {
            var random = TestRandom(state: seed)
            let made = Self.make(&random, depth: 3)
            let grammar = try compiler.compile(.jsonSchema(made.schema))
            var tables = MaskTables(grammar)
            for _ in 0..<3 {
                var state = grammar.start, text: [UInt8] = []
                for _ in 0..<150 {
                    let tokens = tables.mask(of: state, endTokens: [2]).tokens
                    let closing = tokens.filter { $0 == 2 || vocabulary.bytes(of: $0, isFirst: false)?.first.map("\"]}".utf8.contains) == true }
                    let token = random.pick(random.chance(of: 2) && !closing.isEmpty ? closing : tokens)
                    try state.advance(by: token, endTokens: [2], in: grammar)
                    text += vocabulary.bytes(of: token, isFirst: false) ?? []
                    if state.hasEnded { break }
                }
                let shown = String(decoding: text, as: UTF8.self)
                #expect(grammar.acceptsBeginning(text), "seed \(seed): \(shown)")
                guard state.hasEnded else {
                    cut += 1
                    continue
                }
                finished += 1
                // Names that the schema does not list may come twice, which this reader refuses; the last one counts.
                guard let value = try? JSONDocument(file: "answer", source: text).root else {
                    #expect((try? JSONSerialization.jsonObject(with: Data(text), options: .fragmentsAllowed)) != nil, "seed \(seed): \(shown)")
                    continue
                }
                #expect(made.isValid(value), "seed \(seed): \(made.schema): \(shown)")
            }
        }
        #expect(finished > 300 && cut < 100, "\(finished) finished, \(cut) cut")
    }
}
