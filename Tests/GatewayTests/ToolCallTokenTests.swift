import ClusterCore
import Foundation
import Generation
import JSONReader
import Testing
import Tokenizer

@testable import Gateway

/// Calls of tools in answers of models whose vocabularies mark them by special tokens, which the text of an answer leaves out otherwise.
@Suite struct ToolCallTokenTests {
    struct Family: Sendable, CustomTestStringConvertible {
        var name: String
        /// Vocabulary and template among the fixtures.
        var tokenizer: String
        var template: String
        /// What the family's own vocabulary has besides; true: special.
        var added: [String: Bool]
        /// An answer as the model writes it, with `{}` for the arguments.
        var answer: String
        var content: String?

        var testDescription: String { name }
    }

    static let families = [
        Family(
            name: "Mistral, SentencePiece", tokenizer: "mistral", template: "mistral-3",
            added: ["[TOOL_CALLS]": true, "[AVAILABLE_TOOLS]": true, "[INST]": true],
            answer: #"[TOOL_CALLS] [{"name": "weather", "arguments": {}}]</s>"#),
        Family(
            name: "Mistral, Tekken", tokenizer: "llama3", template: "mistral-7",
            added: ["[TOOL_CALLS]": true, "[ARGS]": true, "[CALL_ID]": true, "[INST]": true, "</s>": true],
            answer: "Let me see.[TOOL_CALLS]weather[CALL_ID]abc123def[ARGS]{}</s>", content: "Let me see."),
        Family(
            name: "Llama 3.1", tokenizer: "llama3", template: "llama-3.1", added: ["<|python_tag|>": true, "<|eom_id|>": true],
            answer: #"<|python_tag|>{"name": "weather", "parameters": {}}<|eom_id|>"#),
        Family(
            name: "Qwen 2.5", tokenizer: "qwen2", template: "qwen-2.5", added: ["<tool_call>": false, "</tool_call>": false],
            answer: "Well. <tool_call>\n{\"name\": \"weather\", \"arguments\": {}}\n</tool_call><|im_end|>", content: "Well."),
        Family(
            name: "Hermes with special tags", tokenizer: "qwen2", template: "qwen-2.5",
            added: ["<tool_call>": true, "</tool_call>": true],
            answer: "<tool_call>\n{\"name\": \"weather\", \"arguments\": {}}\n</tool_call><|im_end|>"),
    ]

    private static let arguments = #"{"city": "Oslo", "days": [1, 2]}"#
    private static let body = """
        "messages": [{"role": "user", "content": "Weather?"}], "tools": [{"type": "function", "function": {"name": "weather", \
        "description": "Tells it.", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
        """
    private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures")

    /// The fixture with further tokens. Put in as text: vocabularies hold keys that dictionaries of strings call equal.
    private static func tokenizer(_ family: Family) throws -> Tokenizer {
        let json = try String(contentsOf: fixtures.appendingPathComponent("tokenizers/\(family.tokenizer).json"), encoding: .utf8)
        let start = "\"added_tokens\":["
        let place = try #require(json.range(of: start, options: .literal))
        // Behind all ids of the fixtures.
        let added = family.added.sorted { $0.key < $1.key }.enumerated().map { index, token in
            """
            {"id": \(1010 + index), "content": "\(token.key)", "special": \(token.value), "single_word": false, "lstrip": false, \
            "rstrip": false, "normalized": false},
            """
        }
        let (before, behind) = (json[..<place.upperBound], json[place.upperBound...])
        return try Tokenizer(json: Data("\(before)\(added.joined())\(behind)".utf8))
    }

    private func gateway(_ family: Family) throws -> TestGateway {
        let tokenizer = try Self.tokenizer(family)
        let answer = family.answer.replacingOccurrences(of: "{}", with: Self.arguments)
        let tokens = try tokenizer.encode(answer, addSpecialTokens: false)
        for marker in family.added.keys where answer.contains(marker) {
            #expect(tokens.contains(try #require(tokenizer.id(of: marker))), "\(marker) is one token")
        }
        let template = Self.fixtures.appendingPathComponent("templates/families/\(family.template).jinja")
        return try TestGateway(
            .tokens(tokens), tokenizer: tokenizer, template: try String(contentsOf: template, encoding: .utf8))
    }

    @Test("A call is found behind its special token", arguments: families)
    func callsAreFound(family: Family) async throws {
        let gateway = try gateway(family)
        let response = try await gateway.post("/v1/chat/completions", "{\(Self.body)}")
        try #require(response.status == 200, "\(response.text)")
        let answer = try response.json()
        #expect(try answer.at("choices", 0, "finish_reason").text == "tool_calls")
        #expect(try answer.at("choices", 0, "message", "content").text == family.content)
        #expect(try answer.at("choices", 0, "message", "tool_calls", 0, "function", "name").text == "weather")
        #expect(try answer.at("choices", 0, "message", "tool_calls", 0, "function", "arguments").text == Self.arguments)
        let chunks = try await gateway.post("/v1/chat/completions", "{\(Self.body), \"stream\": true}").chunks()
        let parts = try chunks.compactMap { try $0.at("choices", 0, "delta").object }
        let called = parts.compactMap { $0["tool_calls"]?.array.map { Array($0) }?.first?.object?["function"]?.object?["arguments"]?.text }
        #expect(called.joined() == Self.arguments)
        #expect(parts.compactMap { $0["content"]?.text }.joined() == family.content ?? "")
    }

    @Test("Without tools in use, special tokens stay out of the text", arguments: families)
    func specialTokensStayOut(family: Family) async throws {
        let gateway = try gateway(family)
        let answer = try await gateway.post("/v1/chat/completions", "{\(Self.body), \"tool_choice\": \"none\"}").json()
        let content = try #require(try answer.at("choices", 0, "message", "content").text)
        #expect(gateway.backend.submissions.last?.keptTokens == [])
        #expect(content.contains(Self.arguments))
        for (token, isSpecial) in family.added { #expect(!isSpecial || !content.contains(token), "\(content)") }
    }
}
