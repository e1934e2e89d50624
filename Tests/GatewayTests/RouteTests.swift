import ClusterCore
import Generation
import HTTPTypes
import JSONReader
import Synchronization
import Tokenizer
import Testing

@testable import Gateway

@Suite struct RouteTests {
    @Test func models() async throws {
        let gateway = try TestGateway()
        let list = try await gateway.ask(.get, "/v1/models").json()
        #expect(try list.at("object").text == "list")
        #expect(try list.at("data", 0, "id").text == "fake")
        #expect(try list.at("data", 0, "object").text == "model")
        #expect(try list.at("data", 0, "created").integer == 1_700_000_000)
        #expect(try list.at("data", 0, "max_model_len").integer == 1024)
        #expect(try await gateway.ask(.get, "/v1/models/fake").json().at("id").text == "fake")
        #expect(try await gateway.ask(.get, "/v1/models/f%61ke").status == 200)
        let other = try await gateway.ask(.get, "/v1/models/other/model")
        #expect(other.status == 404)
        #expect(try other.error().at("message").text?.contains("other/model") == true)
    }

    @Test func tokensThereAndBack() async throws {
        let gateway = try TestGateway()
        let answer = try await gateway.post(
            "/tokenize", #"{"prompt": "Once upon a time, é🙂", "return_token_strs": true}"#).json()
        let tokens = try FakeBackend.tokenizer.get().encode("Once upon a time, é🙂")
        #expect(try answer.at("count").integer == tokens.count)
        #expect(try answer.at("max_model_len").integer == 1024)
        #expect(try answer.at("tokens").array?.map { $0.integer } == tokens.map { Int($0) })
        #expect(try answer.at("token_strs").count == tokens.count)
        let back = try await gateway.post("/detokenize", #"{"tokens": \#(tokens)}"#).json()
        #expect(try back.at("prompt").text == "Once upon a time, é🙂")
    }

    @Test func tokensThatDoNotExist() async throws {
        let gateway = try TestGateway()
        for body in [#"{"tokens": [999999]}"#, #"{"tokens": "x"}"#, #"{"tokens": [-1]}"#, "{}"] {
            let answer = try await gateway.post("/detokenize", body)
            #expect(answer.status == 400)
            #expect(try answer.error().at("param").text == "tokens")
        }
        #expect(try await gateway.post("/tokenize", "{}").error().at("param").text == "prompt")
    }

    @Test func longTextsAreTokenizedElsewhereAndAlike() async throws {
        let text = String(repeating: "Once upon a time. ", count: 2000)
        let answer = try await TestGateway().post("/tokenize", #"{"prompt": "\#(text)"}"#).json()
        #expect(try answer.at("count").integer == (try FakeBackend.tokenizer.get().encode(text).count))
    }

    @Test func health() async throws {
        let gateway = try TestGateway()
        for path in ["/health", "/readyz", "/livez"] { #expect(try await gateway.ask(.get, path).status == 200) }
        #expect(try await gateway.ask(.get, "/version").json().at("version").text == "1.2.3")
        gateway.backend.state.withLock { $0.status.draining = true }
        #expect(try await gateway.ask(.get, "/readyz").status == 503)
        #expect(try await gateway.ask(.get, "/health").status == 503)
        #expect(try await gateway.ask(.get, "/livez").status == 200)
        gateway.backend.state.withLock { state in
            state.status.draining = false
            state.status.workers = state.status.workers.map { worker in
                var worker = worker
                worker.role = .prefill
                return worker
            }
        }
        let unready = try await gateway.ask(.get, "/readyz")
        #expect(unready.status == 503, "prefill workers alone serve nobody")
        #expect(unready.headers[.retryAfter] != nil)
    }

    @Test func whatIsNotThere() async throws {
        let gateway = try TestGateway()
        for path in ["/", "/v1", "/v1/completionsx", "/%2e%2e/etc/passwd"] {
            let answer = try await gateway.ask(.get, path)
            #expect(answer.status == 404, "\(path)")
            #expect(try answer.error().at("type").text == "invalid_request_error")
        }
        let wrong = try await gateway.ask(.get, "/v1/completions")
        #expect(wrong.status == 405)
        #expect(wrong.headers[.allow] == "POST")
        #expect(try await gateway.ask(.delete, "/v1/models").headers[.allow] == "GET, HEAD")
        #expect(try await gateway.ask(.get, "/v1/models?limit=3").status == 200)
        #expect(try await gateway.ask(.get, "/v1/models/").status == 200)
    }

    @Test func headHasNoBody() async throws {
        let answer = try await TestGateway().ask(.head, "/v1/models")
        #expect(answer.status == 200)
        #expect(answer.text.isEmpty)
        #expect(answer.headers[.contentLength].flatMap { Int($0) } ?? 0 > 0)
    }

    @Test func requestIDsComeBack() async throws {
        let gateway = try TestGateway()
        #expect(try await gateway.ask(.get, "/livez", headers: [.requestID: "abc-1"]).headers[.requestID] == "abc-1")
        let forged = try await gateway.ask(.get, "/livez", headers: [.requestID: String(repeating: "x", count: 300)])
        #expect(forged.headers[.requestID]?.hasPrefix("req-") == true)
        #expect(try await gateway.ask(.get, "/nowhere").headers[.requestID]?.hasPrefix("req-") == true)
    }

    // MARK: Who may ask

    @Test func aKeyIsNeededWhereThereAreAny() async throws {
        var gateway = try TestGateway()
        gateway.configuration.apiKeys.add(key: "secret")
        gateway.configuration.apiKeys.add(key: "other")
        let paths = ["/v1/models", "/health", "/version", "/metrics"]
        for path in paths {
            let answer = try await gateway.ask(.get, path)
            #expect(answer.status == 401, "\(path)")
            #expect(try answer.error().at("code").text == "invalid_api_key")
            #expect(try await gateway.ask(.get, path, headers: [.authorization: "Bearer wrong"]).status == 401)
            #expect(try await gateway.ask(.get, path, headers: [.authorization: "Basic secret"]).status == 401)
            #expect(try await gateway.ask(.get, path, headers: [.authorization: "Bearer secret"]).status == 200)
            #expect(try await gateway.ask(.get, path, headers: [.authorization: "bearer other"]).status == 200)
        }
        #expect(try await gateway.post("/v1/completions", #"{"prompt": "x"}"#).status == 401)
        for path in ["/livez", "/readyz"] { #expect(try await gateway.ask(.get, path).status == 200) }
    }

    @Test func pagesOfOtherOriginsAreKeptOut() async throws {
        var gateway = try TestGateway()
        let asking: HTTPFields = [.origin: "https://a.example", .accessControlRequestMethod: "POST"]
        #expect(try await gateway.ask(.options, "/v1/completions", headers: asking).status == 405)
        #expect(try await gateway.ask(.get, "/v1/models", headers: asking).headers[.accessControlAllowOrigin] == nil)
        gateway.configuration.allowedOrigins = ["https://a.example"]
        let preflight = try await gateway.ask(.options, "/v1/completions", headers: asking)
        #expect(preflight.status == 204)
        #expect(preflight.headers[.accessControlAllowOrigin] == "https://a.example")
        #expect(try await gateway.ask(.get, "/v1/models", headers: asking).headers[.accessControlAllowOrigin] == "https://a.example")
        let stranger = try await gateway.ask(.get, "/v1/models", headers: [.origin: "https://b.example"])
        #expect(stranger.headers[.accessControlAllowOrigin] == nil)
    }
}
