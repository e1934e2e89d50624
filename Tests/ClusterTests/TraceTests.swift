import ClusterCore
import Foundation
import Generation
import Subprocess
import Testing

extension ClusterTests {
    private struct TraceEvent: Decodable {
        var ph: String
        var pid: Int
        var tid: Int
        var name: String?
        var id: Int?
    }

    private func withTrace(_ body: (String) async throws -> Void) async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("trace-\(UUID().uuidString).json").path
        defer { try? FileManager.default.removeItem(atPath: file) }
        try await body(file)
    }

    /// Spans of prompts and rows, each with its end.
    @Test func aTraceShowsPromptsAndRows() async throws {
        try await withTrace { file in
            let work = try await Workload(count: 12, seed: 5, maxTokens: 20)
            try await TestCluster.run(coordinatorArguments: ["--trace", file]) { cluster in
                let client = try await cluster.connect()
                _ = try await work.check(on: client, concurrency: 6)
                await client.close()
            }
            let events = try JSONDecoder().decode([TraceEvent].self, from: Data(contentsOf: URL(fileURLWithPath: file)))
            let begins = events.filter { $0.ph == "B" }
            #expect(begins.count { $0.name?.hasPrefix("prefill ") == true } == 12)
            // A query of one token never gets a row.
            let decoded = work.items.count { $0.expected.count > 1 }
            #expect(begins.count { $0.name?.hasPrefix("request ") == true } == decoded)
            var depth: [[Int]: Int] = [:]
            for event in events where ["B", "E"].contains(event.ph) {
                depth[[event.pid, event.tid], default: 0] += event.ph == "B" ? 1 : -1
                #expect((0...1).contains(depth[[event.pid, event.tid], default: 0]))
            }
            #expect(depth.values.allSatisfy { $0 == 0 })
            #expect(events.count { $0.ph == "b" } == events.count { $0.ph == "e" })
        }
    }

    @Test func aTraceThatCannotBeWrittenIsNamed() async throws {
        let outcome = try await run(
            "coordinator", ["--model", TestCluster.model, "--rpc", "tcp://127.0.0.1:*", "--workers", "tcp://127.0.0.1:*", "--trace", "/nowhere/x.json"])
        #expect(outcome.code == .exited(1))
        #expect(outcome.error.contains("/nowhere/x.json: cannot be written"))
    }
}
