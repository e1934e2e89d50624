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
