import HTTPTypes
import JSONReader
import Synchronization
import Tokenizer
import Testing

@testable import Gateway

/// Every known parameter with a value that cannot be used is refused by its name.
@Suite struct ParameterErrorTests {
    /// Members of a body, and the parameter that the error names.
    static let shared: [(member: String, parameter: String)] = [
        (#""model": 3"#, "model"), (#""temperature": -1"#, "temperature"), (#""temperature": "hot""#, "temperature"),
        (#""temperature": 1e999"#, "temperature"), (#""temperature": 1e300"#, "temperature"), (#""top_p": -1"#, "top_p"),
        (#""top_p": 1.5"#, "top_p"), (#""top_k": -2"#, "top_k"), (#""top_k": 1.5"#, "top_k"), (#""min_p": 2"#, "min_p"),
        (#""n": 0"#, "n"), (#""n": 100000"#, "n"), (#""n": 99999999999999999999999999"#, "n"), (#""n": "1""#, "n"),
        (#""stop": 5"#, "stop"), (#""stop": [1]"#, "stop"),
        (#""stop": ["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"]"#, "stop"),
        (#""seed": "x""#, "seed"), (#""seed": 1.5"#, "seed"), (#""presence_penalty": 3"#, "presence_penalty"),
        (#""frequency_penalty": -2.5"#, "frequency_penalty"), (#""repetition_penalty": 0"#, "repetition_penalty"),
        (#""logit_bias": []"#, "logit_bias"), (#""logit_bias": {"x": 1}"#, "logit_bias"), (#""logit_bias": {"1": 101}"#, "logit_bias"),
        (#""logit_bias": {"1": "a"}"#, "logit_bias"), (#""stream": 1"#, "stream"), (#""stream_options": {}"#, "stream_options"),
        (#""stream": true, "stream_options": {"include_usage": 1}"#, "stream_options.include_usage"),
        (#""ignore_eos": "yes""#, "ignore_eos"), (#""min_tokens": -1"#, "min_tokens"), (#""stop_token_ids": 1"#, "stop_token_ids"),
        (#""stop_token_ids": [-1]"#, "stop_token_ids"), (#""priority": "urgent""#, "priority"), (#""cache_salt": 7"#, "cache_salt"), (#""priority": []"#, "priority"),
        (#""timeout": 0"#, "timeout"), (#""timeout": -1"#, "timeout"), (#""timeout": "soon""#, "timeout"), (#""user": 1"#, "user"),
        (#""max_tokens": -1"#, "max_tokens"), (#""max_tokens": 1e30"#, "max_tokens"), (#""max_tokens": true"#, "max_tokens"),
        (#""response_format": "json""#, "response_format"), (#""response_format": {"type": "xml"}"#, "response_format.type"),
        (#""response_format": {"type": "json_schema"}"#, "response_format.json_schema"),
        (#""response_format": {"type": "json_schema", "json_schema": {"schema": 1}}"#, "response_format.json_schema.schema"),
        (#""regex": "a", "grammar": "b""#, "regex"),
    ]

    @Test(arguments: ["/v1/completions", "/v1/chat/completions"])
    func aValueThatCannotBeUsedIsNamed(path: String) async throws {
        let gateway = try TestGateway()
        let input = path == "/v1/completions" ? #""prompt": "x""# : #""messages": [{"role": "user", "content": "x"}]"#
        for (member, parameter) in Self.shared {
            let answer = try await gateway.post(path, "{\(input), \(member)}")
            #expect(answer.status == 400, "\(member): \(answer.text)")
            #expect(try answer.error().at("param").text == parameter, "\(member): \(answer.text)")
            #expect(try answer.error().at("type").text == "invalid_request_error")
            #expect(try answer.error().at("message").text?.contains(parameter) == true)
        }
        #expect(gateway.backend.submissions.isEmpty)
    }

    @Test func whatOnlyCompletionsHave() async throws {
        let cases = [
            (#"{}"#, "prompt"), (#"{"prompt": []}"#, "prompt"), (#"{"prompt": [[]]}"#, "prompt"), (#"{"prompt": 3}"#, "prompt"),
            (#"{"prompt": ["a", 3]}"#, "prompt"), (#"{"prompt": [1, "a"]}"#, "prompt"), (#"{"prompt": [-1]}"#, "prompt"),
            (#"{"prompt": [1.5]}"#, "prompt"), (#"{"prompt": [99999999999]}"#, "prompt"), (#"{"prompt": ""}"#, "prompt"),
            (#"{"prompt": "x", "logprobs": 21}"#, "logprobs"), (#"{"prompt": "x", "logprobs": true}"#, "logprobs"),
            (#"{"prompt": "x", "echo": 1}"#, "echo"), (#"{"prompt": "x", "max_tokens": 0}"#, "max_tokens"),
            (#"{"prompt": "x", "max_tokens": 5000}"#, "max_tokens"), (#"{"prompt": "x", "suffix": "y"}"#, "suffix"),
            (#"{"prompt": "x", "best_of": 2}"#, "best_of"), (#"{"prompt": ["x", "y"], "n": 65}"#, "prompt"),
        ]
        let gateway = try TestGateway()
        for (body, parameter) in cases {
            let answer = try await gateway.post("/v1/completions", body)
            #expect(answer.status == 400, "\(body): \(answer.text)")
            #expect(try answer.error().at("param").text == parameter, "\(body): \(answer.text)")
        }
    }

    @Test func whatOnlyChatsHave() async throws {
        let user = #""messages": [{"role": "user", "content": "x"}]"#
        let tool = #"{"type": "function", "function": {"name": "f"}}"#
        let cases = [
            (#"{}"#, "messages"), (#"{"messages": []}"#, "messages"), (#"{"messages": "hi"}"#, "messages"),
            (#"{"messages": [1]}"#, "messages[0]"), (#"{"messages": [{"content": "x"}]}"#, "messages[0].role"),
            (#"{"messages": [{"role": "user", "content": "x"}, {"role": "king", "content": "x"}]}"#, "messages[1].role"),
            (#"{"messages": [{"role": "user"}]}"#, "messages[0].content"),
            (#"{"messages": [{"role": "user", "content": 5}]}"#, "messages[0].content"),
            (#"{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}"#, "messages[0].content[0].type"),
            (#"{"messages": [{"role": "assistant", "tool_calls": [{}]}]}"#, "messages[0].tool_calls[0]"),
            ("{\(user), \"top_logprobs\": 2}", "top_logprobs"), ("{\(user), \"logprobs\": 2}", "logprobs"),
            ("{\(user), \"logprobs\": true, \"top_logprobs\": 21}", "top_logprobs"),
            ("{\(user), \"max_completion_tokens\": 0}", "max_completion_tokens"),
            ("{\(user), \"tools\": 1}", "tools"), ("{\(user), \"tools\": [{}]}", "tools[0]"),
            ("{\(user), \"tools\": [{\"type\": \"function\", \"function\": {}}]}", "tools[0].function.name"),
            ("{\(user), \"tool_choice\": \"required\"}", "tool_choice"),
            ("{\(user), \"tools\": [\(tool)], \"tool_choice\": \"often\"}", "tool_choice"),
            ("{\(user), \"tools\": [\(tool)], \"tool_choice\": {\"type\": \"function\", \"function\": {\"name\": \"g\"}}}", "tool_choice"),
            ("{\(user), \"chat_template_kwargs\": 1}", "chat_template_kwargs"),
        ]
        let gateway = try TestGateway()
        for (body, parameter) in cases {
            let answer = try await gateway.post("/v1/chat/completions", body)
            #expect(answer.status == 400, "\(body): \(answer.text)")
            #expect(try answer.error().at("param").text == parameter, "\(body): \(answer.text)")
        }
    }

    @Test func aPromptThatDoesNotFitSaysSo() async throws {
        let long = "[" + Array(repeating: "1", count: 1024).joined(separator: ",") + "]"
        let answer = try await TestGateway().post("/v1/completions", #"{"prompt": \#(long)}"#)
        #expect(answer.status == 400)
        #expect(try answer.error().at("code").text == "context_length_exceeded")
        #expect(try answer.error().at("message").text?.contains("1024 tokens") == true)
    }

    @Test func bodiesThatAreNoJSONObject() async throws {
        let gateway = try TestGateway()
        let bodies = [
            "", "{", "[]", "null", "\"x\"", #"{"prompt": "x",}"#, #"{"prompt": "x", "prompt": "y"}"#, #"{"prompt": "\ud800"}"#,
            String(repeating: "[", count: 100_000), #"{"a":"# + String(repeating: #"{"a":"#, count: 10_000), "{\"prompt\": \"\u{1}\"}",
            #"{"prompt": "x", "n": 01}"#, #"{"prompt": NaN}"#,
        ]
        for body in bodies {
            let answer = try await gateway.post("/v1/completions", body)
            #expect(answer.status == 400, "\(body.prefix(40))")
            #expect(try answer.error().at("code").text == "invalid_json", "\(body.prefix(40))")
        }
    }

    @Test func aWrongMediaType() async throws {
        let answer = try await TestGateway().ask(
            .post, "/v1/completions", #"{"prompt": "x"}"#, headers: [.contentType: "application/x-www-form-urlencoded"])
        #expect(answer.status == 415)
    }

    @Test func aBodyTooLong() async throws {
        var gateway = try TestGateway()
        gateway.configuration.maxBodyBytes = 1000
        let answer = try await gateway.post("/v1/completions", #"{"prompt": "\#(String(repeating: "x", count: 2000))"}"#)
        #expect(answer.status == 413)
        #expect(gateway.backend.submissions.isEmpty)
    }

    @Test func tooManyBytesAtOnce() async throws {
        var gateway = try TestGateway()
        gateway.configuration.maxBodyBytesAtOnce = 10
        let answer = try await gateway.post("/v1/completions", #"{"prompt": "x"}"#)
        #expect(answer.status == 503)
        #expect(answer.headers[.retryAfter] != nil)
    }

    @Test func anotherModel() async throws {
        let answer = try await TestGateway().post("/v1/completions", #"{"model": "gpt-4o", "prompt": "x"}"#)
        #expect(answer.status == 404)
        #expect(try answer.error().at("code").text == "model_not_found")
        #expect(try answer.error().at("message").text?.contains("gpt-4o") == true)
    }
}
