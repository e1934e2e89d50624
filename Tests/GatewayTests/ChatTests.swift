import ChatTemplate
import ClusterCore
import Generation
import JSONReader
import Synchronization
import Testing
import Tokenizer

@testable import Gateway

@Suite struct ChatTests {
    private static let user = #""messages": [{"role": "user", "content": "Hi"}]"#
    private static let tool = #"{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}"#
    /// Writes calls as Hermes does.
    private static let toolTemplate = """
        {% for tool in tools or [] %}{{ tool.function.name }};{% endfor %}\
        {% for m in messages %}<|im_start|>{{ m.role }}
        {{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.arguments.city }}</tool_call>{% endfor %}<|im_end|>{% endfor %}
        """

    private func prompt(_ gateway: TestGateway) throws -> String {
        guard case .tokens(let tokens)? = gateway.backend.submissions.last?.prompt else { return "" }
        return try FakeBackend.tokenizer.get().decode(tokens, skipSpecialTokens: false)
    }

    @Test func aConversationIsRendered() async throws {
        let gateway = try TestGateway()
        let answer = try await gateway.post("/v1/chat/completions", """
            {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}, \
            {"type": "text", "text": "you"}]}], "max_tokens": 5, "max_completion_tokens": 6}
            """)
        #expect(answer.status == 200, "\(answer.text)")
        let expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi\nyou<|im_end|>\n<|im_start|>assistant\n"
        #expect(try prompt(gateway) == expected)
        #expect(gateway.backend.submissions.first?.maxTokens == 6)
        let json = try answer.json()
        #expect(try json.at("object").text == "chat.completion")
        #expect(try json.at("id").text?.hasPrefix("chatcmpl-") == true)
        #expect(try json.at("choices", 0, "message", "role").text == "assistant")
        #expect(try json.at("choices", 0, "message", "content").text == "Hello there")
        #expect(try json.at("choices", 0, "finish_reason").text == "length")
    }

    @Test func theLastMessageIsContinued() async throws {
        let gateway = try TestGateway()
        func ask(_ last: String, _ more: String = "") async throws -> TestGateway.Answer {
            try await gateway.post("/v1/chat/completions", """
                {"messages": [{"role": "user", "content": "Go on: b"}, {"role": "assistant", "content": "\(last)"}], "max_tokens": 2, \
                "continue_final_message": true\(more)}
                """)
        }
        let start = "<|im_start|>user\nGo on: b<|im_end|>\n<|im_start|>assistant\n"
        for (last, end) in [("a b", "a b"), ("b", "b"), ("one\\n two ", "one\n two "), (" ", " "), ("", "")] {
            #expect(try await ask(last, ", \"add_generation_prompt\": false").status == 200)
            #expect(try prompt(gateway) == start + end)
        }
        #expect(try await ask("x", ", \"add_generation_prompt\": true").error().at("param").text == "continue_final_message")
        var trimming = try TestGateway()
        trimming.template = "{% for m in messages %}[{{ m.content | trim }}]{% endfor %}!"
        let answer = try await trimming.post("/v1/chat/completions", """
            {"messages": [{"role": "assistant", "content": " so "}], "max_tokens": 2, "continue_final_message": true}
            """)
        #expect(answer.status == 200, "\(answer.text)")
        #expect(try prompt(trimming) == "[so")
        trimming.template = "{{ messages[0].content | upper }}"
        let changed = try await trimming.post("/v1/chat/completions", """
            {"messages": [{"role": "assistant", "content": "so"}], "max_tokens": 2, "continue_final_message": true}
            """)
        #expect(changed.status == 400)
    }

    @Test func partsOfCharactersHaveTheirBytes() async throws {
        // The bundled vocabulary spells rare characters byte by byte.
        let tokenizer = try FakeBackend.tokenizer.get()
        let tokens = try tokenizer.encode("\u{10FFFF}", addSpecialTokens: false)
        #expect(tokens.count > 1)
        let pieces = tokens.map { FakeBackend.FakeToken("", $0, logprobs: TokenLogprobs(logprob: -1)) }
        let answer = try await TestGateway(.answers([pieces])).post("/v1/chat/completions", "{\(Self.user), \"logprobs\": true}").json()
        var bytes: [UInt8] = []
        for index in tokens.indices {
            let told = try #require(try answer.at("choices", 0, "logprobs", "content", index, "bytes").array)
            bytes += told.compactMap { $0.integer.flatMap { UInt8(exactly: $0) } }
        }
        #expect(String(decoding: bytes, as: UTF8.self) == "\u{10FFFF}")
    }

    @Test func withoutALimitThereIsAllTheRoomThatThereIs() async throws {
        let gateway = try TestGateway()
        _ = try await gateway.post("/v1/chat/completions", "{\(Self.user)}")
        let submission = try #require(gateway.backend.submissions.first)
        guard case .tokens(let tokens) = submission.prompt else { return }
        #expect(Int(submission.maxTokens ?? 0) == 1024 - tokens.count)
    }

    @Test func aStreamBeginsWithTheRole() async throws {
        let answer = try await TestGateway().post(
            "/v1/chat/completions", "{\(Self.user), \"stream\": true, \"stream_options\": {\"include_usage\": true}}")
        let chunks = try answer.chunks()
        #expect(try chunks[0].at("choices", 0, "delta", "role").text == "assistant")
        #expect(try chunks[0].at("choices", 0, "delta", "content").text == "")
        #expect(try chunks[1].at("choices", 0, "delta", "content").text == "Hello")
        #expect(try chunks[3].at("choices", 0, "finish_reason").text == "length")
        #expect(try chunks[4].at("usage", "completion_tokens").integer == 2)
        #expect(answer.events.last == "[DONE]")
        #expect(try chunks.allSatisfy { try $0.at("object").text == "chat.completion.chunk" })
    }

    @Test func logprobsAreToldTokenByToken() async throws {
        let scores = TokenLogprobs(logprob: -0.25, top: [TokenLogprob(token: 40, logprob: -0.25), TokenLogprob(token: 41, logprob: -3)])
        let gateway = try TestGateway(.answers([[.init("a", 40, logprobs: scores), .init("b", 41, logprobs: scores)]]))
        let body = "\(Self.user), \"logprobs\": true, \"top_logprobs\": 2"
        let whole = try await gateway.post("/v1/chat/completions", "{\(body)}").json()
        #expect(gateway.backend.submissions.last?.logprobs == 2)
        #expect(try whole.at("choices", 0, "logprobs", "content").count == 2)
        #expect(try whole.at("choices", 0, "logprobs", "content", 0, "logprob").number == -0.25)
        #expect(try whole.at("choices", 0, "logprobs", "content", 0, "top_logprobs").count == 2)
        let chunks = try await gateway.post("/v1/chat/completions", "{\(body), \"stream\": true}").chunks()
        let told = try chunks.reduce(0) { $0 + (try $1.at("choices", 0, "logprobs").object?["content"]?.count ?? 0) }
        #expect(told == 2)
    }

    @Test func aFormOfTheAnswerIsAConstraint() async throws {
        let gateway = try TestGateway()
        let cases: [(String, Constraint?)] = [
            (#""response_format": {"type": "text"}"#, nil),
            (#""response_format": {"type": "json_object"}"#, Constraint(kind: .jsonObject)),
            (
                #""response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array", "minItems": 1.5}}}"#,
                Constraint(kind: .jsonSchema, source: #"{"type":"array","minItems":1.5}"#)
            ),
            (#""guided_regex": "a+""#, Constraint(kind: .regex, source: "a+")),
            (#""grammar": "root ::= \"a\"""#, Constraint(kind: .grammar, source: #"root ::= "a""#)),
            (#""structured_outputs": {"json": {"type": "null"}}"#, Constraint(kind: .jsonSchema, source: #"{"type":"null"}"#)),
        ]
        for (member, constraint) in cases {
            let answer = try await gateway.post("/v1/chat/completions", "{\(Self.user), \(member)}")
            #expect(answer.status == 200, "\(answer.text)")
            #expect(gateway.backend.submissions.last?.constraint == constraint, "\(member)")
        }
    }

    // MARK: Tools

    private func withTools(_ texts: [String], reason: FinishReason = .stop) throws -> TestGateway {
        var gateway = try TestGateway(.answers([texts.map { FakeBackend.FakeToken($0) }], reason: reason))
        gateway.template = Self.toolTemplate
        return gateway
    }

    @Test func aCallIsTakenOutOfTheText() async throws {
        let texts = ["Let me see. <tool", "_call>\n{\"name\": \"weather\", \"argu", "ments\": {\"city\": \"Oslo\"}}\n</tool_call>"]
        let gateway = try withTools(texts)
        let body = "\(Self.user), \"tools\": [\(Self.tool)]"
        let whole = try await gateway.post("/v1/chat/completions", "{\(body)}").json()
        #expect(try prompt(gateway).hasPrefix("weather;"))
        #expect(try whole.at("choices", 0, "finish_reason").text == "tool_calls")
        #expect(try whole.at("choices", 0, "message", "content").text == "Let me see.")
        #expect(try whole.at("choices", 0, "message", "tool_calls", 0, "function", "name").text == "weather")
        #expect(try whole.at("choices", 0, "message", "tool_calls", 0, "function", "arguments").text == #"{"city": "Oslo"}"#)
        let chunks = try await gateway.post("/v1/chat/completions", "{\(body), \"stream\": true}").chunks()
        let calls = try chunks.compactMap { try $0.at("choices", 0, "delta").object?["tool_calls"]?.array.map { Array($0) }?.first?.object }
        #expect(calls.first?["id"]?.text?.isEmpty == false)
        #expect(calls.map { $0["function"]?.object?["arguments"]?.text ?? "" }.joined() == #"{"city": "Oslo"}"#)
        #expect(try chunks.last?.at("choices", 0, "finish_reason").text == "tool_calls")
    }

    @Test func toolsThatMustNotBeUsedAreNotShown() async throws {
        let gateway = try withTools(["plain"])
        let answer = try await gateway.post("/v1/chat/completions", "{\(Self.user), \"tools\": [\(Self.tool)], \"tool_choice\": \"none\"}")
        #expect(try !prompt(gateway).contains("weather"))
        #expect(try answer.json().at("choices", 0, "message", "content").text == "plain")
    }

    @Test func aCallThatIsRequiredIsCutToItsForm() async throws {
        let gateway = try withTools([#"{"name": "weather", "arguments": {"city": "Oslo"}}"#])
        for choice in [#""required""#, #"{"type": "function", "function": {"name": "weather"}}"#] {
            let answer = try await gateway.post("/v1/chat/completions", "{\(Self.user), \"tools\": [\(Self.tool)], \"tool_choice\": \(choice)}")
            #expect(answer.status == 200, "\(answer.text)")
            #expect(try prompt(gateway).hasSuffix("<tool_call>\n"))
            let constraint = try #require(gateway.backend.submissions.last?.constraint)
            #expect(constraint.kind == .jsonSchema)
            #expect(constraint.source.contains(#""const":"weather""#))
            let json = try answer.json()
            #expect(try json.at("choices", 0, "message", "tool_calls", 0, "function", "arguments").text == #"{"city": "Oslo"}"#)
            #expect(try json.at("choices", 0, "message", "content").isNull)
            #expect(try json.at("choices", 0, "finish_reason").text == "tool_calls")
        }
        // The bundled model's own template knows no calls.
        let plain = try await TestGateway().post("/v1/chat/completions", "{\(Self.user), \"tools\": [\(Self.tool)], \"tool_choice\": \"required\"}")
        #expect(plain.status == 400)
        #expect(try plain.error().at("param").text == "tool_choice")
    }

    @Test func pastCallsAreShownAsWhatTheySay() async throws {
        let gateway = try withTools(["ok"])
        let answer = try await gateway.post("/v1/chat/completions", #"""
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function",
             "function": {"name": "weather", "arguments": "{\"city\": \"Rome\"}"}}]}, {"role": "tool", "tool_call_id": "c1", "content": "hot"}]}
            """#)
        #expect(answer.status == 200, "\(answer.text)")
        #expect(try prompt(gateway).contains("<tool_call>Rome</tool_call>"))
    }

    // MARK: Templates

    @Test func aTemplateMayRefuse() async throws {
        var gateway = try TestGateway()
        gateway.template = "{{ raise_exception('roles must alternate') }}"
        let answer = try await gateway.post("/v1/chat/completions", "{\(Self.user)}")
        #expect(answer.status == 400)
        #expect(try answer.error().at("message").text?.contains("roles must alternate") == true)
        gateway.template = nil
        #expect(try await gateway.post("/v1/chat/completions", "{\(Self.user)}").error().at("code").text == "no_chat_template")
    }

    @Test func messagesAreTokenizedAsAChatWouldBe() async throws {
        let gateway = try TestGateway()
        let tokens = try await gateway.post("/tokenize", "{\(Self.user)}").json()
        _ = try await gateway.post("/v1/chat/completions", "{\(Self.user)}")
        guard case .tokens(let prompt)? = gateway.backend.submissions.last?.prompt else { return }
        #expect(try tokens.at("tokens").array?.map { $0.integer } == prompt.map { Int($0) })
    }
}
