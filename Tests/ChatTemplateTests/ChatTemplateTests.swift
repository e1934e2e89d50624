import ChatTemplate
import Testing

@Suite struct ChatTemplateTests {
    @Test func messagesToolsAndVariablesReachTheTemplate() throws {
        let template = try ChatTemplate(source: """
            {{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}\
            {{ tools | tojson }}{{ documents is none }}{{ add_generation_prompt }}{{ enable_thinking }}
            """)
        let messages = try Fixtures.parse(#"[{"role": "user", "content": "hi"}]"#)
        #expect(try template.render(messages: messages, variables: [.init("bos_token", .string("<s>")), .init("enable_thinking", .boolean(false))])
            == "<s>user:hi;nullTrueTrueFalse")
        let tools = try Fixtures.parse(#"[{"b": 1, "a": 2}]"#)
        #expect(try template.render(messages: messages, tools: tools, addGenerationPrompt: false) == #"user:hi;[{"b": 1, "a": 2}]TrueFalse"#)
    }

    @Test func reasoningHasItsStandardName() throws {
        let template = try ChatTemplate(source: "{{ messages[0].reasoning_content }}|{{ messages[0].thinking }}|{{ messages[0] | length }}")
        for key in ["reasoning", "thinking", "reasoning_content"] {
            let messages = try Fixtures.parse("[{\"role\": \"assistant\", \"\(key)\": \"hm\"}]")
            #expect(try template.render(messages: messages).hasPrefix("hm|hm|"))
        }
        #expect(try template.render(messages: try Fixtures.parse(#"[{"role": "user", "thinking": null}]"#)) == "|None|2")
    }

    @Test func numbersArePrintedAsTheyAre() throws {
        #expect(try render("{{ x }} {{ x | tojson }}", #"{"x": [18446744073709551615, -0.0, 1e16, 1.50, 1e400, 7]}"#)
            == "[18446744073709551615, -0.0, 1e+16, 1.5, inf, 7] [18446744073709551615, -0.0, 1e+16, 1.5, Infinity, 7]")
    }

    @Test func textsAreComparedAndCountedByScalars() throws {
        // The two spellings of é are canonically equivalent, and two texts.
        #expect(try render("{{ a == b }}{{ a | length }}{{ b | length }}{{ b[0] }}{{ b[::-1] | length }}", #"{"a": "é", "b": "e\u0301"}"#) == "False12e2")
        #expect(try render("{{ '\r\n' | length }}{{ 'a\r\nb' }}") == "1a\nb")
    }

    @Test func argumentsOfCallsBecomeObjects() throws {
        let messages = try Fixtures.parse("""
            [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{\\"x\\": [1]}"}}, {"function": {"name": "g", "arguments": "no"}}]}]
            """)
        #expect(try ChatTemplate(source: "{% for c in messages[0].tool_calls %}{{ c.function.arguments | tojson }}{% endfor %}")
            .render(messages: messages.parsingToolArguments()) == #"{"x": [1]}"no""#)
    }
}
