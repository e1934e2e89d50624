import ChatTemplate
import Foundation
import Testing

@Suite struct ToolCallParserTests {
    /// Events in total: pieces of the same text or arguments joined.
    private static func joined(_ events: [ToolCallEvent]) -> [ToolCallEvent] {
        var result: [ToolCallEvent] = []
        for event in events {
            switch (result.last, event) {
            case (.content(let before)?, .content(let more)): result[result.count - 1] = .content(before + more)
            case (.arguments(let index, let before)?, .arguments(_, let more)): result[result.count - 1] = .arguments(index: index, before + more)
            default: result.append(event)
            }
        }
        return result
    }

    private static func id(_ format: ToolCallFormat, _ index: Int) -> String { format.callID(seed: 7, index: index) }

    private static func call(_ format: ToolCallFormat, _ index: Int, _ name: String, _ arguments: String) -> [ToolCallEvent] {
        [.callBegan(index: index, id: id(format, index), name: name), .arguments(index: index, arguments), .callEnded(index: index, isWhole: true)]
    }

    static let answers: [(ToolCallFormat, String, [ToolCallEvent])] = [
        (.hermes, "Plain é text < <tool <tool_cal x \n", [.content("Plain é text < <tool <tool_cal x \n")]),
        (.hermes, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1, \"}\\\"\"], \"b\": {}}}\n</tool_call>",
            call(.hermes, 0, "f", "{\"a\": [1, \"}\\\"\"], \"b\": {}}")),
        (.hermes, "Let me see.\n\n<tool_call>{\"arguments\":{\"x\":1},\"id\":7,\"name\":\"f\"}</tool_call>\n<tool_call>\n{\"name\":\"gé\"}\n</tool_call>\n",
            [.content("Let me see.")] + call(.hermes, 0, "f", "{\"x\":1}") + call(.hermes, 1, "gé", "{}")),
        (.hermes, "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call> then more ", call(.hermes, 0, "f", "{}") + [.content("then more ")]),
        (.hermes, "<tool_call>{\"name\":\"f\",\"arguments\":\"{\\\"x\\\": \\\"\\u00e9\\\"}\"}</tool_call>", call(.hermes, 0, "f", "{\"x\": \"é\"}")),
        (.hermes, "<tool_call> not JSON </tool_call> <tool_call>{\"nam", [.content("<tool_call> not JSON </tool_call> <tool_call>{\"nam")]),
        (.hermes, "<tool_call>{\"name\":\"f\",\"arguments\":{\"x\": \"ab",
            [.callBegan(index: 0, id: id(.hermes, 0), name: "f"), .arguments(index: 0, "{\"x\": \"ab"), .callEnded(index: 0, isWhole: false)]),
        (.hermes, "<tool_call>{\"a\":<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>",
            [.content("<tool_call>{\"a\":")] + call(.hermes, 0, "f", "{}")),
        (.llama3, "{\"name\": \"f\", \"parameters\": {\"x\": 1}}", call(.llama3, 0, "f", "{\"x\": 1}")),
        (.llama3, " <|python_tag|>{\"type\": \"function\", \"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", \"parameters\": {}}",
            call(.llama3, 0, "f", "{}") + call(.llama3, 1, "g", "{}")),
        (.llama3, "{\"name\": \"Bob\", \"age\": 5}", [.content("{\"name\": \"Bob\", \"age\": 5}")]),
        (.llama3, "{\"name\": \"stranger\", \"parameters\": {}}", [.content("{\"name\": \"stranger\", \"parameters\": {}}")]),
        (.llama3, "{ so } <|python_tag|>print(1)", [.content("{ so } <|python_tag|>print(1)")]),
        (.llama3, "First {\"name\": \"f\", \"parameters\": {}}", [.content("First {\"name\": \"f\", \"parameters\": {}}")]),
        (.mistral, "Yes [TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"x\": [1]}}, {\"name\": \"g\", \"arguments\": {}}]",
            [.content("Yes")] + call(.mistral, 0, "f", "{\"x\": [1]}") + call(.mistral, 1, "g", "{}")),
        (.mistral, "[TOOL_CALLS]{\"name\": \"f\", \"arguments\": {}}", call(.mistral, 0, "f", "{}")),
        (.mistral, "[TOOL_CALLS][oh]", [.content("[TOOL_CALLS][oh]")]),
        (.mistralNamed, "[TOOL_CALLS]f[ARGS]{\"x\": {\"y\": 1}}[TOOL_CALLS]g[CALL_ID]abc123def[ARGS]{}",
            call(.mistralNamed, 0, "f", "{\"x\": {\"y\": 1}}")
                + [.callBegan(index: 1, id: "abc123def", name: "g"), .arguments(index: 1, "{}"), .callEnded(index: 1, isWhole: true)]),
    ]

    private func parse(_ format: ToolCallFormat, _ pieces: [[UInt8]]) -> [ToolCallEvent] {
        var parser = ToolCallParser(format, knownNames: ["f", "g", "gé"], seed: 7)
        var events: [ToolCallEvent] = []
        for piece in pieces { events += parser.append(bytes: piece) }
        return Self.joined(events + parser.finish())
    }

    @Test func answersAreTakenApart() {
        for (format, answer, expected) in Self.answers {
            #expect(parse(format, [Array(answer.utf8)]) == expected, "\(format) \(answer)")
        }
    }

    @Test func byteByByteIsTheSame() {
        for (format, answer, expected) in Self.answers {
            #expect(parse(format, answer.utf8.map { [$0] }) == expected, "\(format) \(answer)")
        }
    }

    @Test func everyCutIsTheSame() {
        for (format, answer, expected) in Self.answers {
            let bytes = Array(answer.utf8)
            for cut in 0...bytes.count {
                #expect(parse(format, [Array(bytes[..<cut]), Array(bytes[cut...])]) == expected, "\(format) \(answer) at \(cut)")
            }
        }
    }

    /// Answers made of pieces that mean something, cut at random: whole and in pieces they give the same, nothing is lost before the first
    /// call, and no marker is given out with a call behind it.
    @Test func randomAnswersInRandomPieces() {
        let parts = [
            "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "[ARGS]", "[CALL_ID]", "{", "}", "[", "]", ",", ";", ":", "\n", " ", "\"",
            "{\"name\": \"f\", \"arguments\": {\"a\": \"é\"}}", "{\"name\": \"g\", \"parameters\": {}}", "{\"arguments\": {}, \"name\": \"f\"}", "f", "text", "é", "\\",
            "\"name\"", "\"arguments\"", "<tool", "[TOOL",
        ]
        var generator = Generator(state: 11)
        for round in 0..<4000 {
            let format = ToolCallFormat.allCases[round % ToolCallFormat.allCases.count]
            let answer = (0..<generator.below(9)).map { _ in parts[generator.below(parts.count)] }.joined()
            let bytes = Array(answer.utf8)
            let whole = parse(format, [bytes])
            var pieces: [[UInt8]] = []
            var start = 0
            while start < bytes.count {
                let end = min(bytes.count, start + 1 + generator.below(6))
                pieces.append(Array(bytes[start..<end]))
                start = end
            }
            #expect(parse(format, pieces) == whole, "\(format) \(answer)")
            if whole.count <= 1, case .content(let text)? = whole.first { #expect(text == answer, "\(format)") }
            let begun = whole.count { if case .callBegan = $0 { true } else { false } }
            let ended = whole.count { if case .callEnded = $0 { true } else { false } }
            #expect(begun == ended)
        }
    }

    private struct Generator {
        var state: UInt64
        mutating func below(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
    }

    @Test func textFlowsAtOnceAndMarkersWait() {
        var parser = ToolCallParser(.hermes, seed: 1)
        #expect(parser.append("Hello") == [.content("Hello")])
        #expect(parser.append(" <tool_") == [])
        #expect(parser.append("box>") == [.content(" <tool_box>")])
        #expect(parser.append("\n<tool_call>{\"name\":\"f\",") == [])
        let events = parser.append("\"arguments\":{\"x\"")
        #expect(events.last == .arguments(index: 0, "{\"x\"") && events.count == 2)
        #expect(parser.append(":1") == [.arguments(index: 0, ":1")])
    }

    @Test func manyCallsThatNeverBeginAreText() {
        let open = "<tool_call>{\"arguments\":{\"a\":"
        let nested = String(repeating: open, count: 20_000)
        var text = ""
        for event in ToolCallParser.parse(nested, format: .hermes, seed: 1) { if case .content(let more) = event { text += more } }
        #expect(text == nested)
    }

    @Test func idsHaveTheFormThatTemplatesTake() {
        for format in ToolCallFormat.allCases {
            let ids = Set((0..<100).map { format.callID(seed: 3, index: $0) })
            #expect(ids.count == 100)
            let length = format == .mistral || format == .mistralNamed ? 9 : 29
            #expect(ids.allSatisfy { $0.utf8.count == length })
            #expect(format.callID(seed: 3, index: 5) == format.callID(seed: 3, index: 5))
            #expect(format.callID(seed: 4, index: 5) != format.callID(seed: 3, index: 5))
        }
    }
}

@Suite struct ToolCallFormatTests {
    @Test(arguments: [
        ("qwen-2.5", ToolCallFormat.hermes), ("qwen-3", .hermes), ("llama-3.1", .llama3), ("mistral-3", .mistral), ("mistral-7", .mistralNamed),
        ("gemma-3", nil), ("phi-3", nil), ("llama-2", nil),
    ] as [(String, ToolCallFormat?)])
    func theTemplateTellsTheFormat(family: String, format: ToolCallFormat?) throws {
        let source = try String(contentsOf: Fixtures.directory.appendingPathComponent("families/\(family).jinja"), encoding: .utf8)
        #expect(ToolCallFormat(template: source) == format)
    }

    @Test func shapesDescribeWhatTheParserReads() throws {
        let parameters = try Fixtures.parse(
            ##"{"type": "object", "properties": {"x": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}"##)
        let tools = [ToolDefinition(name: "f", parameters: parameters), ToolDefinition(name: "g")]
        for format in ToolCallFormat.allCases {
            let shapes = format.shapes(of: tools)
            #expect(shapes.count == (format == .mistralNamed ? 2 : 1))
            let arguments = #"{"x": 3}"#
            let key = format == .llama3 ? "parameters" : "arguments"
            var body = #"{"name": "f", "\#(key)": \#(arguments)}"#
            if format == .mistral { body = "[\(body)]" }
            if format == .mistralNamed { body = arguments }
            let shape = try #require(shapes.first)
            let events = ToolCallParser.parse(shape.prefix + body + shape.suffix, format: format, seed: 1)
            #expect(events.contains(.arguments(index: 0, arguments)) && events.last == .callEnded(index: 0, isWhole: true), "\(format)")
            #expect(format.shapes(of: []).isEmpty)
        }
    }

    @Test func referencesFollowTheirSchema() throws {
        let parameters = try Fixtures.parse(##"{"properties": {"x": {"$ref": "#/$defs/n"}}, "$defs": {"n": {}}}"##)
        let tools = [ToolDefinition(name: "f", parameters: parameters), ToolDefinition(name: "g", parameters: parameters)]
        for (format, pointer) in [
            (ToolCallFormat.hermes, "#/anyOf/1/properties/arguments/$defs/n"), (.mistral, "#/items/anyOf/1/properties/arguments/$defs/n"),
            (.llama3, "#/anyOf/1/properties/parameters/$defs/n"),
        ] {
            var schema = try #require(format.shapes(of: tools).first?.schema)
            if format == .mistral { schema = try #require(schema["items"]) }
            let call = try #require(schema["anyOf"]).elements[1]
            let key = format == .llama3 ? "parameters" : "arguments"
            let reference = call["properties"]?[key]?["properties"]?["x"]?["$ref"]
            #expect(reference == .string(pointer), "\(format)")
        }
    }
}
