import Testing

@testable import Transport

@Suite struct EndpointTests {
    @Test(arguments: [
        ("tcp://127.0.0.1:5555", Endpoint.Kind.tcp(host: "127.0.0.1", port: 5555)),
        ("tcp://*:1", .tcp(host: "*", port: 1)), ("tcp://127.0.0.1:*", .tcp(host: "127.0.0.1", port: nil)),
        ("tcp://[::1]:65535", .tcp(host: "[::1]", port: 65535)),
        ("tcp://worker-3.example:80", .tcp(host: "worker-3.example", port: 80)), ("ipc:///tmp/x", .ipc(path: "/tmp/x")),
    ])
    func reads(_ text: String, _ kind: Endpoint.Kind) throws {
        let endpoint = try Endpoint(text)
        #expect(endpoint.kind == kind)
        #expect(endpoint.description == text)
    }

    @Test(arguments: [
        "", "127.0.0.1:5555", "udp://127.0.0.1:5555", "inproc://x", "TCP://127.0.0.1:5555", "tcp://", "tcp://host", "tcp://:5",
        "tcp://host:", "tcp://host:0", "tcp://host:65536", "tcp://host:-1", "tcp://host:+1", "tcp://host: 1", "tcp://host:5x",
        "tcp://ho st:5", "tcp://eth0;host:5", "tcp://hôst:5", "tcp://host\u{0}:5", "ipc://",
        "ipc://a\u{0}b", "ipc://" + String(repeating: "x", count: 108),
    ])
    func refuses(_ text: String) {
        let error = #expect(throws: TransportError.self) { try Endpoint(text) }
        guard case .malformedEndpoint(text, _) = error else {
            Issue.record("threw \(String(describing: error))")
            return
        }
    }

    @Test(arguments: [
        ("tcp://127.0.0.1:1", true), ("tcp://127.9.9.9:1", true), ("tcp://localhost:1", true), ("tcp://[::1]:1", true),
        ("ipc:///tmp/x", true), ("tcp://0.0.0.0:1", false), ("tcp://*:1", false), ("tcp://[::]:1", false),
        ("tcp://10.0.0.7:1", false), ("tcp://127.0.0.1.example:1", false), ("tcp://127.0.0:1", false),
        ("tcp://127.0.0.256:1", false), ("tcp://127.+0.0.1:1", false), ("tcp://localhost.example:1", false),
    ])
    func knowsWhatOthersReach(_ text: String, _ isLocal: Bool) throws {
        #expect(try Endpoint(text).isLocal == isLocal)
    }

    @Test func changesTheHost() throws {
        let bound = try Endpoint("tcp://0.0.0.0:5555")
        #expect(bound.isWildcardHost)
        let named = try bound.withHost("worker-1")
        #expect("\(named)" == "tcp://worker-1:5555")
        #expect(!named.isWildcardHost)
        #expect(throws: TransportError.self) { try bound.withHost("a b") }
        let path = try Endpoint("ipc:///tmp/x")
        #expect(try path.withHost("worker-1") == path)
        #expect(!path.isWildcardHost)
    }
}
