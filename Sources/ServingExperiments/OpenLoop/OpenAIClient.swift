import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// Asks an OpenAI-compatible server and takes the time.
public struct OpenAIClient: ServeClient {
    public enum Route: String, Sendable, CaseIterable {
        case completions
        case chat

        var path: String { self == .chat ? "/v1/chat/completions" : "/v1/completions" }
    }

    /// With which sampling all requests are sent; members of a JSON object.
    public var url: String
    public var model: String
    public var route: Route
    public var apiKey: String?
    public var ignoresEnd: Bool
    public var temperature: Double
    /// Requests share cached prefixes only with those that have the same; an extension that not every server knows.
    public var cacheSalt: String?
    /// How long a single answer may take.
    public var patience: Duration
    private let client: HTTPClient

    public init(
        url: String, model: String, route: Route, apiKey: String?, ignoresEnd: Bool, temperature: Double, connections: Int,
        patience: Duration = .seconds(3600)
    ) {
        self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
        self.model = model
        self.route = route
        self.apiKey = apiKey
        self.ignoresEnd = ignoresEnd
        self.temperature = temperature
        self.patience = patience
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = max(8, connections)
        configuration.httpVersion = .http1Only
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    public func shutDown() async throws { try await client.shutdown() }

    /// The first model that the server has.
    public static func firstModel(at url: String, apiKey: String?) async throws -> String {
        var request = HTTPClientRequest(url: (url.hasSuffix("/") ? String(url.dropLast()) : url) + "/v1/models")
        if let apiKey { request.headers.add(name: "Authorization", value: "Bearer \(apiKey)") }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
        let body = try await response.body.collect(upTo: 1 << 20)
        guard response.status == .ok, let name = try ModelList(Array(buffer: body)).first else {
            throw ServeFailure("\(url)/v1/models answers \(response.status.code) and names no model; say --model")
        }
        return name
    }

    func body(of request: ServeRequest) -> [UInt8] {
        var members: [String: Any] = [
            "model": model, "max_tokens": request.outputTokens, "temperature": temperature, "stream": true,
            "stream_options": ["include_usage": true],
        ]
        if ignoresEnd { members["ignore_eos"] = true }
        if let cacheSalt { members["cache_salt"] = cacheSalt }
        switch (route, request.prompt) {
        case (.completions, .text(let text)): members["prompt"] = text
        case (.completions, .tokens(let tokens)): members["prompt"] = tokens.map { Int($0) }
        case (.chat, .text(let text)): members["messages"] = [["role": "user", "content": text]]
        case (.chat, .tokens(let tokens)):
            members["messages"] = [["role": "user", "content": tokens.map(String.init).joined(separator: " ")]]
        }
        return (try? JSONSerialization.data(withJSONObject: members, options: [.sortedKeys])).map { Array($0) } ?? []
    }

    public func measure(_ request: ServeRequest, from start: ContinuousClock.Instant) async -> ServeMeasurement {
        let sent = ContinuousClock.now
        func seconds(_ from: ContinuousClock.Instant) -> Double { (ContinuousClock.now - from) / .seconds(1) }
        var measurement = ServeMeasurement(
            sentAt: (sent - start) / .seconds(1), inputTokens: request.inputTokens ?? 0, outputTokens: 0, timeToFirstToken: 0,
            interTokenLatencies: [], latency: 0)
        var last: ContinuousClock.Instant?
        var pieces = 0
        do {
            var http = HTTPClientRequest(url: url + route.path)
            http.method = .POST
            http.headers.add(name: "Content-Type", value: "application/json")
            // Servers close idle connections when they like; a request that was sent into one that just closed would count as failed.
            http.headers.add(name: "Connection", value: "close")
            if let apiKey { http.headers.add(name: "Authorization", value: "Bearer \(apiKey)") }
            http.body = .bytes(ByteBuffer(bytes: body(of: request)))
            let response = try await client.execute(http, timeout: .nanoseconds(Int64(patience / .nanoseconds(1))))
            guard response.status == .ok else {
                let text = String(buffer: try await response.body.collect(upTo: 1 << 16))
                throw ServeFailure("status \(response.status.code): \(text.prefix(200))")
            }
            var stream = OpenAIStream()
            var hasEnded = false
            for try await buffer in response.body {
                for item in stream.take(buffer.readableBytesView) {
                    switch item {
                    case .text:
                        pieces += 1
                        if let last { measurement.interTokenLatencies.append(seconds(last)) } else { measurement.timeToFirstToken = seconds(sent) }
                        last = .now
                        measurement.latency = seconds(sent)
                    case .usage(let input, let output):
                        if input > 0 { measurement.inputTokens = input }
                        measurement.outputTokens = output
                    case .failure(let problem): throw ServeFailure(problem)
                    case .end: hasEnded = true
                    }
                }
            }
            guard hasEnded else { throw ServeFailure("the stream ended early") }
        } catch {
            measurement.failure = "\(error)"
        }
        if measurement.outputTokens == 0 { measurement.outputTokens = pieces }
        if measurement.failure == nil, pieces == 0 { measurement.latency = seconds(sent) }
        return measurement
    }
}

/// What a server answered that a benchmark cannot go on with.
public struct ServeFailure: Error, Sendable, Hashable, CustomStringConvertible {
    public var description: String

    init(_ description: String) { self.description = description }
}
