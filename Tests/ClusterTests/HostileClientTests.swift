import BatonClient
import ClusterCore
import Foundation
import FoundationNetworking
import Generation
import LocalCluster
import Testing

/// Clients that do harm on purpose, against real processes; what is said on each edge is tested in GatewayTests.
extension ClusterTests {
    /// A field of `/proc/…/status`, in bytes.
    private func memory(_ field: String, of process: ChildProcess) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(process.processID)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix(field + ":") })
        return try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }) << 10
    }

    @Test func hostileClientsCostLittleAndHarmNobody() async throws {
        try await TestCluster.run(http: true, workerArguments: ["--max-num-seqs", "64"]) { cluster in
            let http = try #require(cluster.plan.http)
            let coordinator = try #require(await cluster.processes.process(ClusterPlan.coordinatorName))
            let before = try memory("VmRSS", of: coordinator)
            // Readers that never read, of streams far longer than any socket's buffer; clients that close their side at once; heads without
            // an end; bodies without an end.
            let stream = #"{"prompt": "x", "max_tokens": 900, "ignore_eos": true, "logprobs": 20, "stream": true}"#
            let head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            var connections: [HostileConnection] = []
            for number in 0..<24 {
                let reader = try HostileConnection(port: http.port, receiveBuffer: 4096)
                reader.send(head + "Content-Length: \(stream.utf8.count)\r\n\r\n" + stream)
                let half = try HostileConnection(port: http.port)
                half.send(head + "Content-Length: \(stream.utf8.count)\r\n\r\n" + stream)
                half.closeOwnSide()
                let headless = try HostileConnection(port: http.port)
                headless.send(head + "X-Long: " + String(repeating: "y", count: 20_000))
                let endless = try HostileConnection(port: http.port)
                endless.send(head + "Content-Length: 8000000\r\n\r\n" + String(repeating: number.isMultiple(of: 2) ? "[" : " ", count: 100_000))
                connections += [reader, half, headless, endless]
            }
            // Bodies of eight megabytes, more at a time than are let in.
            let url = try #require(URL(string: http.url + "/v1/completions"))
            let statuses = await withTaskGroup(of: Int.self) { group in
                for _ in 0..<24 {
                    group.addTask {
                        var request = URLRequest(url: url)
                        request.httpMethod = "POST"
                        request.timeoutInterval = 120
                        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
                        request.httpBody = Data((#"{"prompt": ["# + String(repeating: "1,", count: 4_000_000) + "1]").utf8.prefix(8 << 20))
                        let response = try? await URLSession.shared.data(for: request).1
                        return (response as? HTTPURLResponse)?.statusCode ?? 0
                    }
                }
                return await group.reduce(into: Set<Int>()) { $0.insert($1) }
            }
            #expect(statuses.isSubset(of: [400, 503]), "\(statuses)")
            // Others are served meanwhile.
            let client = try await cluster.connect()
            let answer = try await client.answer(to: Submission(prompt: .tokens([9, 8, 7]), sampling: .greedy, maxTokens: 5, ignoreEndTokens: true))
            #expect(answer.tokens.count == 5)
            await client.close()
            let peak = try memory("VmHWM", of: coordinator)
            #expect(peak - before < 512 << 20, "\(peak >> 20) MiB, \(before >> 20) MiB before")
            for connection in connections { connection.close() }
            try await cluster.waitUntilIdle()
            let (data, _) = try await URLSession.shared.data(from: try #require(URL(string: http.url + "/livez")))
            #expect(String(decoding: data, as: UTF8.self).contains("ok"))
        }
    }
}

/// A connection that sends and never reads.
private struct HostileConnection {
    private let descriptor: Int32

    /// - Parameter receiveBuffer: bytes that the system may keep for it.
    init(port: Int, receiveBuffer: Int32? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw POSIXError(.EMFILE) }
        if var receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, socklen_t(MemoryLayout<Int32>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard connected == 0 else { throw POSIXError(.ECONNREFUSED) }
    }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        // Little enough for the other side's buffers, so that this never waits.
        _ = Foundation.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }

    func closeOwnSide() { shutdown(descriptor, Int32(SHUT_WR)) }

    func close() { _ = Foundation.close(descriptor) }
}
