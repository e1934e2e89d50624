import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import JSONReader
import Logging
import NIOCore
import NIOPosix
import RequestAdmission
import Testing
import Tokenizer

@testable import Gateway

/// A gateway before a cluster whose answers are written down, asked without a socket.
struct TestGateway {
    let backend: FakeBackend
    var configuration = GatewayConfiguration(host: "127.0.0.1", port: 0)
    /// The bundled model's own, unless a test writes another one down.
    var template: String?

    init(_ script: FakeBackend.Script = .answers([[.init("Hello"), .init(" there")]])) throws {
        backend = try FakeBackend(script)
        template = backend.model.admission.tokenizer.chatTemplate
    }

    /// The same with another tokenizer, and a template that goes with it.
    init(_ script: FakeBackend.Script, tokenizer: Tokenizer, template: String) throws {
        backend = try FakeBackend(script, tokenizer: tokenizer)
        self.template = template
    }

    /// - Throws: if the template cannot be read.
    func application() throws -> Application<GatewayResponder> {
        var logger = Logger(label: "gateway-test")
        logger.logLevel = .critical
        return Gateway.application(
            configuration, backend: backend, chat: try template.map { try ChatFormatting(source: $0, tokenizer: backend.model.admission.tokenizer) },
            version: "1.2.3", threads: MultiThreadedEventLoopGroup.singleton, logger: logger
        ) { _ in }
    }

    struct Answer {
        var status: Int
        var headers: HTTPFields
        var text: String

        init(_ response: TestResponse) {
            status = response.status.code
            headers = response.headers
            text = String(buffer: response.body)
        }

        func json(_ location: SourceLocation = #_sourceLocation) throws -> JSONObject {
            let document = try JSONDocument(file: "answer", source: Array(text.utf8))
            return try #require(document.root.object, sourceLocation: location)
        }

        /// The member `param` and others of an error.
        func error(_ location: SourceLocation = #_sourceLocation) throws -> JSONObject {
            try #require(try json()["error"]?.object, sourceLocation: location)
        }

        /// The data of server-sent events, the end marker included.
        var events: [String] {
            text.components(separatedBy: "\n\n").filter { !$0.isEmpty }.map { event in
                event.split(separator: "\n").filter { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) }.joined(separator: "\n")
            }
        }

        func chunks(_ location: SourceLocation = #_sourceLocation) throws -> [JSONObject] {
            try events.filter { $0 != "[DONE]" }.map {
                try #require(try JSONDocument(file: "chunk", source: Array($0.utf8)).root.object, sourceLocation: location)
            }
        }
    }

    func ask(
        _ method: HTTPRequest.Method, _ path: String, _ body: String? = nil, headers: HTTPFields = [:]
    ) async throws -> Answer {
        try await application().test(.router) { client in
            try await client.execute(
                uri: path, method: method, headers: headers, body: body.map { ByteBuffer(string: $0) }
            ) { Answer($0) }
        }
    }

    func post(_ path: String, _ body: String, headers: HTTPFields = [:]) async throws -> Answer {
        var headers = headers
        headers[.contentType] = "application/json"
        return try await ask(.post, path, body, headers: headers)
    }
}

extension JSONObject {
    /// The value at names and indexes, one after the other.
    func at(_ path: any JSONStep...) throws -> JSONValue {
        var value: JSONValue?
        for (position, step) in path.enumerated() {
            value = position == 0 ? self[try #require(step as? String)] : step.step(from: try #require(value))
            _ = try #require(value, "nothing at \(path)")
        }
        return try #require(value)
    }
}

protocol JSONStep {
    func step(from value: JSONValue) -> JSONValue?
}

extension String: JSONStep {
    func step(from value: JSONValue) -> JSONValue? { value.object?[self] }
}

extension Int: JSONStep {
    func step(from value: JSONValue) -> JSONValue? { value.array.flatMap { Array($0.dropFirst(self)).first } }
}
