import ClusterCore
import Generation
import HTTPTypes
import JSONReader
import Synchronization
import Tokenizer
import Testing

@testable import Gateway

@Suite struct CompletionTests {
    @Test func anAnswerIsWhole() async throws {
        let gateway = try TestGateway()
        let answer = try await gateway.post("/v1/completions", #"{"model": "fake", "prompt": "Once", "max_tokens": 2, "seed": 3}"#)
        #expect(answer.status == 200)
        let json = try answer.json()
        #expect(try json.at("object").text == "text_completion")
        #expect(try json.at("id").text?.hasPrefix("cmpl-") == true)
        #expect(try json.at("model").text == "fake")
        #expect(try json.at("system_fingerprint").text?.hasPrefix("fp_") == true)
        #expect(try json.at("choices", 0, "text").text == "Hello there")
        #expect(try json.at("choices", 0, "finish_reason").text == "length")
        #expect(try json.at("choices", 0, "logprobs").isNull)
        #expect(try json.at("usage", "completion_tokens").integer == 2)
        let prompt = try #require(gateway.backend.submissions.first)
        #expect(try json.at("usage", "prompt_tokens").integer == (try FakeBackend.tokenizer.get().encode("Once").count))
        #expect(prompt.seed == 3)
        #expect(prompt.maxTokens == 2)
    }

    @Test func aStreamHasEveryTokenAndAnEnd() async throws {
        let gateway = try TestGateway()
        let answer = try await gateway.post(
            "/v1/completions", #"{"prompt": "Once", "stream": true, "stream_options": {"include_usage": true}}"#)
        #expect(answer.status == 200)
        #expect(answer.headers[.contentType] == "text/event-stream; charset=utf-8")
        #expect(answer.events.last == "[DONE]")
        let chunks = try answer.chunks()
        #expect(try chunks.prefix(3).map { try $0.at("choices", 0, "text").text } == ["Hello", " there", ""])
        #expect(try chunks.prefix(3).map { try $0.at("choices", 0, "finish_reason").text } == [nil, nil, "length"])
        #expect(try chunks.prefix(3).allSatisfy { try $0.at("usage").isNull })
        let last = try #require(chunks.last)
        #expect(try last.at("choices").count == 0)
        #expect(try last.at("usage", "completion_tokens").integer == 2)
        #expect(Set(try chunks.map { try $0.at("id").text }).count == 1)
    }

    @Test func usageIsNotToldUnasked() async throws {
        let answer = try await TestGateway().post("/v1/completions", #"{"prompt": "Once", "stream": true}"#)
        #expect(try answer.chunks().allSatisfy { $0["usage"] == nil })
        #expect(try answer.chunks().allSatisfy { try $0.at("choices").count == 1 })
    }

    @Test func choicesAreNumberedPromptByPrompt() async throws {
        let gateway = try TestGateway(.answers([[.init("a")], [.init("b")]]))
        let answer = try await gateway.post("/v1/completions", #"{"prompt": ["x", [1, 2, 3]], "n": 2}"#)
        let json = try answer.json()
        #expect(try (0..<4).map { try json.at("choices", $0, "index").integer } == [0, 1, 2, 3])
        #expect(try (0..<4).map { try json.at("choices", $0, "text").text } == ["a", "b", "a", "b"])
        #expect(gateway.backend.submissions.map(\.choices) == [2, 2])
        #expect(gateway.backend.submissions.last?.prompt == .tokens([1, 2, 3]))
        #expect(try json.at("usage", "completion_tokens").integer == 4)
    }

    @Test func tokensAsThePromptGoThroughAsTheyAre() async throws {
        let gateway = try TestGateway()
        _ = try await gateway.post("/v1/completions", #"{"prompt": [5, 6]}"#)
        #expect(gateway.backend.submissions.map(\.prompt) == [.tokens([5, 6])])
    }

    @Test func everyParameterArrives() async throws {
        let gateway = try TestGateway()
        let body = """
            {"prompt": "x", "max_tokens": 9, "min_tokens": 2, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "n": 3,
             "stop": ["a", "b"], "seed": -1, "presence_penalty": 0.25, "frequency_penalty": -0.5, "repetition_penalty": 1.5,
             "logit_bias": {"9": -100, "4": 2.5}, "ignore_eos": true, "stop_token_ids": [7], "priority": "high", "cache_salt": "ours", "timeout": 30,
             "user": "me", "logprobs": 2, "include_stop_str_in_output": true, "nobody_knows_this": {"a": [1]}}
            """
        let answer = try await gateway.post("/v1/completions", body)
        #expect(answer.status == 200, "\(answer.text)")
        let submission = try #require(gateway.backend.submissions.first)
        #expect(submission.maxTokens == 9)
        #expect(submission.minTokens == 2)
        #expect(submission.sampling.temperature == 0.5)
        #expect(submission.sampling.topP == 0.9)
        #expect(submission.sampling.topK == 40)
        #expect(submission.sampling.minP == 0.05)
        #expect(submission.choices == 3)
        #expect(submission.stopStrings == ["a", "b"])
        #expect(submission.includesStopString)
        #expect(submission.seed == .max)
        #expect(submission.sampling.presencePenalty == 0.25)
        #expect(submission.sampling.frequencyPenalty == -0.5)
        #expect(submission.sampling.repetitionPenalty == 1.5)
        #expect(submission.sampling.logitBias == [TokenBias(token: 4, bias: 2.5), TokenBias(token: 9, bias: -100)])
        #expect(submission.ignoreEndTokens)
        #expect(submission.stopTokens == [7])
        #expect(submission.priority == .high && submission.cacheSalt == "ours")
        #expect(submission.logprobs == 2)
        let timeout = try #require(submission.timeout)
        #expect(timeout <= .seconds(30) && timeout > .seconds(20))
    }

    @Test func vLLMsPriorityIsTheLowerTheSooner() async throws {
        for (number, priority) in [(-3, Priority.high), (0, .normal), (12, .low)] {
            let gateway = try TestGateway()
            _ = try await gateway.post("/v1/completions", #"{"prompt": "x", "priority": \#(number)}"#)
            #expect(gateway.backend.submissions.first?.priority == priority)
        }
    }

    @Test func nullIsAsGoodAsAbsent() async throws {
        let gateway = try TestGateway()
        let answer = try await gateway.post(
            "/v1/completions", #"{"prompt": "x", "temperature": null, "stop": null, "logit_bias": null, "n": null, "stream": null}"#)
        #expect(answer.status == 200)
        #expect(gateway.backend.submissions.first?.sampling.temperature == 1)
    }

    @Test func theUsualLengthGivesWayToTheModels() async throws {
        let gateway = try TestGateway()
        _ = try await gateway.post("/v1/completions", #"{"prompt": "x"}"#)
        #expect(gateway.backend.submissions.first?.maxTokens == 16)
        let long = "[" + Array(repeating: "1", count: 1020).joined(separator: ",") + "]"
        _ = try await gateway.post("/v1/completions", #"{"prompt": \#(long)}"#)
        #expect(gateway.backend.submissions.last?.maxTokens == 4)
    }

    @Test func aPromptIsEchoedAndScored() async throws {
        let token = FakeBackend.FakeToken(" x", 9, logprobs: TokenLogprobs(logprob: -0.5, top: [TokenLogprob(token: 9, logprob: -0.5)]))
        let gateway = try TestGateway(.answers([[token]]))
        let answer = try await gateway.post(
            "/v1/completions", #"{"prompt": "Once upon", "max_tokens": 1, "echo": true, "logprobs": 1}"#)
        let json = try answer.json()
        #expect(gateway.backend.submissions.first?.promptLogprobs == 1)
        #expect(try json.at("choices", 0, "text").text == "Once upon x")
        let count = try FakeBackend.tokenizer.get().encode("Once upon").count
        #expect(try json.at("choices", 0, "logprobs", "tokens").count == count + 1)
        #expect(try json.at("choices", 0, "logprobs", "token_logprobs", 0).isNull)
        #expect(try json.at("choices", 0, "logprobs", "token_logprobs", count).number == -0.5)
        #expect(try json.at("choices", 0, "logprobs", "top_logprobs", 0).isNull)
        #expect(try json.at("choices", 0, "logprobs", "text_offset", 0).integer == 0)
    }

    @Test func nothingNeedBeGenerated() async throws {
        let gateway = try TestGateway(.answers([[]]))
        let answer = try await gateway.post(
            "/v1/completions", #"{"prompt": "Once upon", "max_tokens": 0, "echo": true, "logprobs": 0}"#)
        #expect(answer.status == 200)
        #expect(gateway.backend.submissions.first?.maxTokens == 0)
        #expect(try answer.json().at("choices", 0, "text").text == "Once upon")
        let logprobs = try #require(try answer.json().at("choices", 0, "logprobs").object)
        #expect(logprobs["token_logprobs"] != nil)
        #expect(logprobs["top_logprobs"] == nil)
    }

    @Test func numbersMayBeWrittenWithAFraction() async throws {
        let gateway = try TestGateway()
        let answer = try await gateway.post(
            "/v1/completions", #"{"prompt": [80.0, 81], "max_tokens": 2.0, "stop_token_ids": [3.0], "top_p": 0}"#)
        #expect(answer.status == 200, "\(answer.text)")
        let submission = try #require(gateway.backend.submissions.first)
        #expect(submission.prompt == .tokens([80, 81]))
        #expect(submission.stopTokens == [3])
        // Nothing but the most probable token is kept.
        #expect(submission.sampling.topP > 0 && submission.sampling.topP < 1e-30)
    }

    @Test func whatTextCannotShowIsInTheJSON() async throws {
        let gateway = try TestGateway(.answers([[.init("\"\\\n\u{1}é🙂")]]))
        let answer = try await gateway.post("/v1/completions", #"{"prompt": "x"}"#)
        #expect(try answer.json().at("choices", 0, "text").text == "\"\\\n\u{1}é🙂")
    }

    // MARK: Failures

    @Test func aFailureBeforeTheFirstTokenHasAStatus() async throws {
        let failures: [(RequestFailure.Code, Int, retry: Bool)] = [
            (.invalid, 400, false), (.overloaded, 503, true), (.draining, 503, true), (.noWorker, 503, true), (.expired, 408, false),
            (.timedOut, 504, false), (.failed, 500, false),
        ]
        for (code, status, retry) in failures {
            for stream in [false, true] {
                let gateway = try TestGateway(.refusal(RequestFailure(code: code, message: "temperature: too hot")))
                let answer = try await gateway.post("/v1/completions", #"{"prompt": "x", "stream": \#(stream)}"#)
                #expect(answer.status == status, "\(code), stream \(stream)")
                #expect((answer.headers[.retryAfter] != nil) == retry)
                #expect(try answer.error().at("message").text?.contains("too hot") == true)
                if code == .invalid { #expect(try answer.error().at("param").text == "temperature") }
            }
        }
    }

    @Test func aFailureAfterTheFirstTokenIsNoEnd() async throws {
        let gateway = try TestGateway(.failure([.init("Hello")], RequestFailure(code: .failed, message: "all workers died")))
        let answer = try await gateway.post("/v1/completions", #"{"prompt": "x", "stream": true}"#)
        #expect(answer.status == 200)
        #expect(!answer.text.contains("[DONE]"))
        #expect(!answer.text.contains(#""finish_reason":"stop""#))
        #expect(answer.text.contains("event: error\n"))
        let last = try #require(try answer.chunks().last)
        #expect(try last.at("error", "message").text == "all workers died")
    }

    @Test func overloadIsRefusedBeforeAnyWork() async throws {
        let gateway = try TestGateway()
        gateway.backend.state.withLock { $0.refusal = RequestFailure(code: .overloaded, message: "the queue is full") }
        for path in ["/v1/completions", "/v1/chat/completions"] {
            let answer = try await gateway.post(path, #"{"prompt": "x", "messages": [{"role": "user", "content": "x"}]}"#)
            #expect(answer.status == 503)
            #expect(answer.headers[.retryAfter] == "1")
            #expect(try answer.error().at("code").text == "overloaded")
        }
        #expect(gateway.backend.submissions.isEmpty)
    }
}
