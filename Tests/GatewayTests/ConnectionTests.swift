import ClusterCore
import Foundation
import Logging
import Synchronization
import Testing

@testable import Gateway

/// A gateway on a real socket.
@Suite struct ConnectionTests {
    private func serve(
        _ script: FakeBackend.Script, _ change: (inout GatewayConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (Int, FakeBackend) async throws -> Void
    ) async throws {
        let backend = try FakeBackend(script)
        var configuration = GatewayConfiguration(host: "127.0.0.1", port: 0)
        change(&configuration)
        var logger = Logger(label: "gateway-test")
        logger.logLevel = .critical
        let (ports, port) = AsyncStream<Int>.makeStream()
        let gateway = Gateway(configuration, backend: backend, chat: nil, version: "1", logger: logger) { port.yield($0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await gateway.run() }
            guard let port = await ports.first(where: { _ in true }) else { return }
            do { try await body(port, backend) } catch {
                await gateway.shutDown()
                throw error
            }
            await gateway.shutDown()
        }
    }

    private func request(_ body: String, path: String = "/v1/completions", headers: String = "") -> String {
        "POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)"
    }

    private func eventually(_ what: String, _ isMet: () -> Bool) async throws {
        for _ in 0..<1000 {
            if isMet() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("waited in vain until \(what)")
    }

    @Test func oneConnectionServesManyRequests() async throws {
        try await serve(.answers([[.init("Hello")]])) { port, backend in
            let connection = try RawConnection(port: port)
            for stream in [false, true, false] {
                connection.send(request(#"{"prompt": "x", "stream": \#(stream)}"#))
                let answer = await connection.read { stream ? $0.hasSuffix("0\r\n\r\n") : $0.hasSuffix("}") }
                #expect(answer.hasPrefix("HTTP/1.1 200 OK"))
                #expect(answer.contains("Hello"))
            }
            connection.send(request("{}") + request(#"{"prompt": "x"}"#))
            let both = await connection.read { $0.hasSuffix("}}") && $0.contains("Hello") || $0.hasSuffix("}") && $0.contains("Hello") }
            #expect(both.contains("HTTP/1.1 400") && both.contains("HTTP/1.1 200"))
        }
    }

    @Test(arguments: [false, true])
    func aClientThatLeavesCancelsItsRequest(stream: Bool) async throws {
        // Nothing comes: the client leaves while the request is queued. Tokens come: it leaves while it is decoded.
        for script in [FakeBackend.Script.silence, .endless(.init("word "))] {
            try await serve(script) { port, backend in
                let connection = try RawConnection(port: port)
                connection.send(request(#"{"prompt": "x", "stream": \#(stream)}"#))
                try await eventually("the request is there") { !backend.submissions.isEmpty }
                if stream, case .endless = script { _ = await connection.read { $0.contains("word") } }
                connection.close()
                try await eventually("it is cancelled") { backend.cancellations > 0 }
            }
        }
    }

    @Test func aClientThatLeavesWithAKeyCancelsWhatNobodyElseWants() async throws {
        try await serve(.endless(.init("word "))) { port, backend in
            let headers = "Idempotency-Key: k\r\n"
            let body = #"{"prompt": "x", "stream": true}"#
            let (first, second) = (try RawConnection(port: port), try RawConnection(port: port))
            first.send(request(body, headers: headers))
            _ = await first.read { $0.contains("word") }
            second.send(request(body, headers: headers))
            _ = await second.read { $0.contains("word") }
            #expect(backend.submissions.count == 1)
            first.close()
            // The second one still reads.
            _ = await second.read { $0.components(separatedBy: "word").count > 200 }
            #expect(backend.cancellations == 0)
            second.close()
            try await eventually("it is cancelled") { backend.cancellations > 0 }
        }
    }

    @Test func whatIsNoHTTPIsRefused() async throws {
        try await serve(.silence) { port, _ in
            let texts = [
                "\u{0}\u{1}\u{2}garbage\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
                "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
                "POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            ]
            for text in texts {
                let connection = try RawConnection(port: port)
                connection.send(text)
                let answer = await connection.read()
                #expect(answer.hasPrefix("HTTP/1.1 400"), "\(text.debugDescription): \(answer)")
                #expect(answer.contains("\"error\""), "\(text.debugDescription)")
            }
            let long = try RawConnection(port: port)
            long.send("GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: \(String(repeating: "x", count: 100_000))\r\n\r\n")
            #expect(await long.read().hasPrefix("HTTP/1.1 431"))
            let alive = try RawConnection(port: port)
            alive.send("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            #expect(await alive.read().hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test func brokenTextIsRefused() async throws {
        try await serve(.silence) { port, _ in
            let connection = try RawConnection(port: port)
            let body = Array(#"{"prompt": ""#.utf8) + [0xFF, 0xC3] + Array("\"}".utf8)
            connection.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.count)\r\n\r\n")
            connection.send(body)
            let answer = await connection.read { $0.contains("\r\n\r\n{") }
            #expect(answer.hasPrefix("HTTP/1.1 400"))
            #expect(answer.contains("UTF-8"))
        }
    }

    @Test func aBodyTooLongIsRefusedUnread() async throws {
        try await serve(.silence) { port, _ in
            let connection = try RawConnection(port: port)
            connection.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n")
            let answer = await connection.read()
            #expect(answer.hasPrefix("HTTP/1.1 413"))
            // Without a length it is counted.
            let chunked = try RawConnection(port: port)
            chunked.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            let chunk = "100000\r\n" + String(repeating: " ", count: 0x100000) + "\r\n"
            for _ in 0..<9 { chunked.send(chunk) }
            #expect(await chunked.read { $0.contains("\r\n\r\n") }.hasPrefix("HTTP/1.1 413"))
        }
    }

    @Test func aBodyThatNeverComesIsNotWaitedForForever() async throws {
        try await serve(.silence, { $0.bodyTimeout = .milliseconds(200) }) { port, backend in
            let connection = try RawConnection(port: port)
            connection.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            let answer = await connection.read()
            #expect(answer.hasPrefix("HTTP/1.1 408"))
            #expect(backend.submissions.isEmpty)
        }
    }

    @Test func idleConnectionsEnd() async throws {
        try await serve(.silence, { $0.idleTimeout = .milliseconds(200) }) { port, _ in
            let silent = try RawConnection(port: port)
            let half = try RawConnection(port: port)
            half.send("GET /livez HTT")
            #expect(await silent.read() == "")
            #expect(await half.read() == "")
        }
    }

    @Test func aHeadInDropsIsNotWaitedForForever() async throws {
        try await serve(.answers([[.init("Hello")]]), { $0.idleTimeout = .milliseconds(600) }) { port, _ in
            for isFirst in [true, false] {
                let connection = try RawConnection(port: port)
                if !isFirst {
                    connection.send(request(#"{"prompt": "x"}"#))
                    #expect(await connection.read { $0.hasSuffix("}") }.hasPrefix("HTTP/1.1 200"))
                }
                let dripping = Task {
                    for byte in "GET /livez HTTP/1.1\r\nX-Long: ".utf8 + Array(repeating: UInt8(ascii: "x"), count: 10_000) {
                        connection.send([byte])
                        try await Task.sleep(for: .milliseconds(20))
                    }
                }
                // Ends because the gateway ends it, long before the last drop.
                #expect(await connection.read() == "")
                dripping.cancel()
                _ = await dripping.result
            }
        }
    }

    @Test func aClientThatClosesItsSideIsGone() async throws {
        try await serve(.silence) { port, backend in
            let connection = try RawConnection(port: port)
            connection.send(request(#"{"prompt": "x"}"#))
            try await eventually("the request is there") { !backend.submissions.isEmpty }
            connection.shutDownWriting()
            try await eventually("it is cancelled") { backend.cancellations > 0 }
        }
    }

    /// Bodies that are cheap to send and might be dear to read. What is refused is said to be so; the process goes on.
    @Test func bodiesThatWouldLikeToHurt() async throws {
        let deep = 200_000
        let bodies: [(String, String)] = [
            ("deep arrays", #"{"prompt": "# + String(repeating: "[", count: deep)),
            ("deep arrays that end", #"{"prompt": "# + String(repeating: "[", count: deep) + String(repeating: "]", count: deep) + "}"),
            ("deep objects", String(repeating: #"{"prompt":"#, count: deep)),
            ("a deep schema", #"{"prompt": "x", "guided_json": "# + String(repeating: #"{"items":"#, count: deep) + "1" + String(repeating: "}", count: deep + 1)),
            ("an infinite number", #"{"prompt": "x", "temperature": 1e400}"#),
            ("digits", #"{"prompt": "x", "max_tokens": "# + String(repeating: "9", count: 1_000_000) + "}"),
            ("digits behind a point", #"{"prompt": "x", "max_tokens": 0."# + String(repeating: "1", count: 1_000_000) + "}"),
            ("a great exponent", #"{"prompt": "x", "max_tokens": 1e999999999999999999999}"#),
            ("a seed beyond 64 bits", #"{"prompt": "x", "seed": 18446744073709551616}"#),
            ("a negative length", #"{"prompt": "x", "max_tokens": -9223372036854775808}"#),
            ("a token beyond 64 bits", #"{"prompt": [99999999999999999999]}"#),
            ("half of a pair", #"{"prompt": "\ud800"}"#),
            ("a cut escape", #"{"prompt": "\u12"}"#),
            ("a raw line break", "{\"prompt\": \"a\nb\"}"),
            ("two objects", #"{"prompt": "x"}{"prompt": "x"}"#),
            ("a name twice", #"{"prompt": "x", "prompt": "y"}"#),
            ("many stops", #"{"prompt": "x", "stop": ["# + Array(repeating: #""a""#, count: 100_000).joined(separator: ",") + "]}"),
            ("many prompts", #"{"prompt": ["# + Array(repeating: #""a""#, count: 100_000).joined(separator: ",") + "]}"),
            ("many biases", #"{"prompt": "x", "logit_bias": {"# + (0..<50_000).map { "\"\($0)\":1" }.joined(separator: ",") + "}}"),
            ("a long regex", #"{"prompt": "x", "regex": ""# + String(repeating: "(", count: 500_000) + "\"}"),
            ("a long key", #"{""# + String(repeating: "k", count: 2_000_000) + #"": 1}"#),
        ]
        try await serve(.answers([[.init("Hello")]])) { port, backend in
            for (name, body) in bodies {
                let connection = try RawConnection(port: port)
                connection.send(self.request(body, headers: "Connection: close\r\n"))
                let answer = await connection.read()
                #expect(answer.hasPrefix("HTTP/1.1 400"), "\(name): \(answer.prefix(300))")
                #expect(answer.contains(#""error""#), "\(name)")
            }
            #expect(backend.submissions.isEmpty)
            let connection = try RawConnection(port: port)
            connection.send(self.request(#"{"prompt": "x"}"#, headers: "Connection: close\r\n"))
            #expect(await connection.read().hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test func aClientMayAskWhetherItMaySend() async throws {
        try await serve(.answers([[.init("Hello")]])) { port, _ in
            let connection = try RawConnection(port: port)
            let body = #"{"prompt": "x"}"#
            connection.send(
                "POST /v1/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: \(body.utf8.count)\r\n\r\n")
            #expect(await connection.read { $0.hasSuffix("\r\n\r\n") }.hasPrefix("HTTP/1.1 100"))
            connection.send(body)
            #expect(await connection.read { $0.hasSuffix("}") }.hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test func aReaderThatStopsIsCutOff() async throws {
        try await serve(
            .endless(.init(String(repeating: "word ", count: 20_000))), { $0.stallTimeout = .milliseconds(300) }
        ) { port, backend in
            let connection = try RawConnection(port: port)
            connection.send(request(#"{"prompt": "x", "stream": true}"#))
            try await eventually("it is cancelled") { backend.cancellations > 0 }
            connection.close()
        }
    }
}
