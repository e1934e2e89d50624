import BatonClient
import ClusterCore
import Generation

/// By which door a client came.
public enum FrontDoor: String, Codable, Sendable, Hashable, CaseIterable {
    case http
    case rpc
}

/// A client with one request, which it leaves without a word.
struct DroppingClient: Sendable {
    private enum Connection: Sendable {
        case http(LoopbackConnection, streams: Bool)
        case rpc(BatonClient)
    }

    private let connection: Connection

    static func overHTTP(port: Int, streams: Bool) throws -> DroppingClient {
        DroppingClient(connection: .http(try LoopbackConnection(port: port), streams: streams))
    }

    static func overRPC(_ endpoint: String) async throws -> DroppingClient {
        DroppingClient(connection: .rpc(try await BatonClient.connect(to: endpoint, name: "dropping", timeout: .seconds(20))))
    }

    func send(prompt: [TokenID], maxTokens: Int, _ priority: Priority) throws {
        switch connection {
        case .http(let connection, let streams):
            try connection.post("/v1/completions", json: """
                {"prompt": \(prompt), "max_tokens": \(maxTokens), "ignore_eos": true, "temperature": 0, \
                "priority": "\(priority)", "stream": \(streams)}
                """)
        case .rpc(let client):
            let answer = client.generate(
                Submission(
                    prompt: .tokens(prompt), sampling: .greedy, maxTokens: Int32(maxTokens), ignoreEndTokens: true, priority: priority))
            // Fails when the connection is closed, which is what is wanted.
            Task { for try await _ in answer {} }
        }
    }

    /// Over RPC, too, it is the connection that ends; no message says so.
    func drop() async {
        switch connection {
        case .http(let connection, _): connection.cut()
        case .rpc(let client): await client.close()
        }
    }
}
