import ClusterCore
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import NIOCore
import JSONReader
import Synchronization
import Tokenizer
import Testing

@testable import Gateway

@Suite struct IdempotencyTests {
    private static let body = #"{"prompt": "x", "temperature": 1}"#

    private func post(
        _ client: some TestClientProtocol, _ key: String, _ body: String = body, headers: HTTPFields = [:]
    ) async throws -> TestGateway.Answer {
        var headers = headers
        headers[.idempotencyKey] = key
        return try await client.execute(
            uri: "/v1/completions", method: .post, headers: headers, body: ByteBuffer(string: body)) { TestGateway.Answer($0) }
    }

    @Test func theSameRequestIsServedOnce() async throws {
        let gateway = try TestGateway()
        try await gateway.application().test(.router) { client in
            for body in [Self.body, #"{"prompt": "x", "stream": true}"#] {
                let first = try await post(client, "key" + body, body)
                let second = try await post(client, "key" + body, body)
                #expect(first.status == 200)
                #expect(first.text == second.text)
                #expect(first.headers[.contentType] == second.headers[.contentType])
            }
            #expect(gateway.backend.submissions.count == 2)
            let other = try await post(client, "another")
            #expect(other.status == 200)
            #expect(gateway.backend.submissions.count == 3)
        }
    }

    @Test func requestsAtTheSameTimeShareOneAnswer() async throws {
        let gateway = try TestGateway()
        try await gateway.application().test(.router) { client in
            let texts = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<16 { group.addTask { try await post(client, "key").text } }
                return try await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
            #expect(texts.count == 1)
            #expect(gateway.backend.submissions.count == 1)
        }
    }

    @Test func anotherBodyIsAConflict() async throws {
        let gateway = try TestGateway()
        try await gateway.application().test(.router) { client in
            _ = try await post(client, "key")
            let other = try await post(client, "key", #"{"prompt": "y"}"#)
            #expect(other.status == 422)
            #expect(try other.error().at("code").text == "idempotency_key_reused")
        }
    }

    @Test func callersDoNotShareKeys() async throws {
        var gateway = try TestGateway()
        gateway.configuration.apiKeys.add(key: "a")
        gateway.configuration.apiKeys.add(key: "b")
        let backend = gateway.backend
        try await gateway.application().test(.router) { client in
            _ = try await post(client, "key", headers: [.authorization: "Bearer a"])
            _ = try await post(client, "key", headers: [.authorization: "Bearer b"])
            #expect(backend.submissions.count == 2)
        }
    }

    @Test func aFailureMayBeTriedAgain() async throws {
        let gateway = try TestGateway(.refusal(RequestFailure(code: .overloaded, message: "full")))
        try await gateway.application().test(.router) { client in
            let first = try await post(client, "key")
            #expect(first.status == 503)
            gateway.backend.state.withLock { $0.script = .answers([[.init("a")]]) }
            let second = try await post(client, "key")
            #expect(second.status == 200)
        }
    }

    @Test func whatIsWrongStaysWrong() async throws {
        let gateway = try TestGateway()
        try await gateway.application().test(.router) { client in
            let first = try await post(client, "key", #"{"prompt": "x", "n": 0}"#)
            let second = try await post(client, "key", #"{"prompt": "x", "n": 0}"#)
            #expect(first.status == 400)
            #expect(first.text == second.text)
        }
    }

    // MARK: The store

    @Test func theOldestAnswersAreForgotten() {
        let store = IdempotencyStore(.init(mostAnswers: 2, mostBytes: 1 << 20, lifetime: .seconds(60)))
        let now = ContinuousClock.now
        for key in ["a", "b", "c"] { _ = store.claim(key, request: [1], at: now) }
        guard case .new = store.claim("a", request: [2], at: now) else { return #expect(Bool(false), "a is still known") }
        guard case .known = store.claim("c", request: [1], at: now) else { return #expect(Bool(false), "c is forgotten") }
        guard case .new = store.claim("c", request: [1], at: now + .seconds(61)) else { return #expect(Bool(false), "c is too old") }
    }
}
