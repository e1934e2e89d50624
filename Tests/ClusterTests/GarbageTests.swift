import BatonClient
import CZeroMQ
import ClusterCore
import Foundation
import Generation
import LocalCluster
import Testing

extension ClusterTests {
    /// Bytes that are no message of ours, on every socket of every role; everybody goes on.
    @Test func garbageOnEverySocketHarmsNobody() async throws {
        try await TestCluster.run { cluster in
            let status = try await cluster.status()
            let endpoints = [cluster.plan.rpc, cluster.plan.workers] + status.workers.map(\.endpoint)
            #expect(endpoints.count == 4)
            for endpoint in endpoints {
                Garbage.send(frames: 300, to: endpoint)
                Garbage.sendRaw(to: endpoint)
            }
            let client = try await cluster.connect()
            let answer = try await client.answer(
                to: Submission(prompt: .tokens([9, 8, 7]), sampling: .greedy, maxTokens: 5, ignoreEndTokens: true))
            #expect(answer.tokens.count == 5)
            #expect(answer.completion.attempts == 1)
            let after = try await client.status()
            #expect(after.workers.allSatisfy { $0.state == .ready })
            await client.close()
        }
    }
}

enum Garbage {
    /// Random messages of one to five frames from a well-behaved ZeroMQ peer.
    static func send(frames count: Int, to endpoint: String) {
        var random = SplitMix(state: 11)
        let context = zmq_ctx_new()
        let socket = zmq_socket(context, ZMQ_DEALER)
        var linger: Int32 = 200
        zmq_setsockopt(socket, ZMQ_LINGER, &linger, MemoryLayout<Int32>.size)
        zmq_connect(socket, endpoint)
        for _ in 0..<count {
            let parts = Int(random.next() % 5)
            for part in 0...parts {
                let bytes = (0..<Int(random.next() % 200)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                zmq_send(socket, bytes, bytes.count, part < parts ? ZMQ_SNDMORE : 0)
            }
        }
        zmq_close(socket)
        zmq_ctx_term(context)
    }

    /// Bytes that are not even ZeroMQ's.
    static func sendRaw(to endpoint: String) {
        guard let port = endpoint.split(separator: ":").last.flatMap({ UInt16($0) }) else { return }
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { return }
        var random = SplitMix(state: 12)
        let bytes = (0..<5000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        _ = Foundation.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }
}
