import Foundation
import Generation
import Testing

@testable import Tokenizer

@Suite struct TokenizerTests {
    @Test("Ids and texts equal the reference implementation's", arguments: Fixtures.kinds)
    func kinds(kind: String) throws {
        let lines: [String] = try Fixtures.decoded("lines.json")
        #expect(lines.count > 2000)
        try check(
            Fixtures.tokenizer(kind), Fixtures.decoded("\(kind).expected.json"), lines: lines, name: kind)
    }

    @Test("Every component and option equals the reference implementation's")
    func variants() throws {
        let variants: Variants = try Fixtures.decoded("variants.json")
        #expect(variants.variants.count > 30)
        for variant in variants.variants {
            let tokenizer = try Tokenizer(json: Data(variant.tokenizer.utf8))
            try check(tokenizer, variant.expected, lines: variants.lines, name: variant.name)
        }
    }
}

extension TokenizerTests {
    @Test("Names, ids and counts")
    func vocabulary() throws {
        let tokenizer = try Tokenizer(json: Samples.json(
            addedTokens: #"[{"id":5,"content":"<s>","special":true},{"id":9,"content":"[T]"}]"#,
            postProcessor: Samples.template(single: #"[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}},{"SpecialToken":{"id":"<s>"}}]"#)))
        #expect(tokenizer.vocabularyCount == 7)
        #expect(tokenizer.idBound == 10)
        #expect(tokenizer.token(4) == "ab" && tokenizer.token(9) == "[T]")
        #expect([-1, 6, 8, 10, .max].allSatisfy { tokenizer.token($0) == nil })
        #expect(tokenizer.id(of: "ab") == 4 && tokenizer.id(of: "[T]") == 9 && tokenizer.id(of: "d") == nil)
        #expect(tokenizer.isSpecial(5) && !tokenizer.isSpecial(9) && !tokenizer.isSpecial(4))
        #expect(try tokenizer.encode("") == [5, 5])
        #expect(try tokenizer.encode("[T]", addSpecialTokens: false) == [9])
        #expect(tokenizer.decode([5, 4, 8, -3, 9], skipSpecialTokens: true) == "ab [T]")
    }

    @Test("tokenizer_config.json and chat_template.jinja, in a model's directory")
    func directory() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        func write(_ text: String, to name: String) throws {
            try Data(text.utf8).write(to: directory.appendingPathComponent(name))
        }
        try Samples.json().write(to: directory.appendingPathComponent("tokenizer.json"))
        var tokenizer = try Tokenizer(modelDirectory: directory)
        #expect(tokenizer.bosToken == nil && tokenizer.eosToken == nil && tokenizer.chatTemplate == nil)

        try write(#"{"bos_token":null,"eos_token":{"content":"<s>"},"chat_template":"{{ é }}"}"#, to: "tokenizer_config.json")
        tokenizer = try Tokenizer(modelDirectory: directory)
        #expect(tokenizer.bosToken == nil && tokenizer.eosToken == 5 && tokenizer.chatTemplate == "{{ é }}")

        let named = #"[{"name":"tool_use","template":"t"},{"name":"default","template":"d"}]"#
        try write(#"{"bos_token":"a","chat_template":\#(named)}"#, to: "tokenizer_config.json")
        tokenizer = try Tokenizer(modelDirectory: directory)
        #expect(tokenizer.bosToken == 0 && tokenizer.eosToken == nil && tokenizer.chatTemplate == "d")

        #expect(tokenizer.chatTemplate(named: "tool_use") == "t" && tokenizer.specialToken(.bos) == "a" && tokenizer.specialToken(.eos) == nil)

        try write("from the file", to: "chat_template.jinja")
        tokenizer = try Tokenizer(modelDirectory: directory)
        #expect(tokenizer.chatTemplate == "from the file" && tokenizer.chatTemplates.count == 1)
        let more = directory.appendingPathComponent("additional_chat_templates")
        try FileManager.default.createDirectory(at: more, withIntermediateDirectories: true)
        try write("with tools", to: "additional_chat_templates/tool_use.jinja")
        #expect(try Tokenizer(modelDirectory: directory).chatTemplate(named: "tool_use") == "with tools")
    }

    @Test("A processor's chat_template.json serves where nothing else does, and tokens of every role are known by text")
    func processorTemplate() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        try Samples.json().write(to: directory.appendingPathComponent("tokenizer.json"))
        let template = directory.appendingPathComponent("chat_template.json")
        try Data(#"{"chat_template": "from the processor"}"#.utf8).write(to: template)
        #expect(try Tokenizer(modelDirectory: directory).chatTemplate == "from the processor")
        let configuration = directory.appendingPathComponent("tokenizer_config.json")
        try Data(#"{"eos_token": "<s>", "pad_token": {"content": "[PAD]"}, "chat_template": "own"}"#.utf8).write(to: configuration)
        let tokenizer = try Tokenizer(modelDirectory: directory)
        #expect(tokenizer.chatTemplate == "own" && tokenizer.specialToken(.padding) == "[PAD]" && tokenizer.specialToken(.eos) == "<s>")
        try Data(#"{"chat_template": 5}"#.utf8).write(to: template)
        try FileManager.default.removeItem(at: configuration)
        #expect(throws: TokenizerError.self) { try Tokenizer(modelDirectory: directory) }
    }

    @Test("Many tasks share one tokenizer")
    func concurrency() async throws {
        let tokenizer = try Fixtures.tokenizer("qwen2")
        let lines: [String] = try Fixtures.decoded("lines.json")
        let expected: Expectation = try Fixtures.decoded("qwen2.expected.json")
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for start in 0..<4 {
                group.addTask {
                    try stride(from: start, to: lines.count, by: 3).allSatisfy { try tokenizer.encode(lines[$0]) == expected.ids[$0] }
                }
            }
            for try await isEqual in group { #expect(isEqual) }
        }
    }

    @Test("150,000 tokens and merges load in well under two seconds")
    func loading() throws {
        // Tokens of one to three letters of a large alphabet, each made by a merge.
        let letters = (0..<256).map { UInt32(0x100 + $0) }.compactMap(Unicode.Scalar.init).map { String($0) }
        var vocab = letters
        var merges: [String] = []
        for left in letters {
            for right in letters { merges.append(#"["\#(left)","\#(right)"]"#); vocab.append(left + right) }
        }
        for index in 0..<85_000 {
            let (pair, right) = (vocab[256 + index], letters[index % 256])
            merges.append(#"["\#(pair)","\#(right)"]"#)
            vocab.append(pair + right)
        }
        let entries = vocab.enumerated().map { #""\#($1)":\#($0)"# }.joined(separator: ",")
        let json = Samples.json(
            model: #"{"vocab":{\#(entries)},"merges":[\#(merges.joined(separator: ","))]}"#, addedTokens: "[]",
            preTokenizer: #"{"type":"ByteLevel","add_prefix_space":false}"#)
        var tokenizer: Tokenizer?
        let time = try ContinuousClock().measure { tokenizer = try Tokenizer(json: json) }
        #expect(tokenizer?.vocabularyCount == 256 + 65_536 + 85_000)
        #expect(time < .seconds(2))
    }
}
