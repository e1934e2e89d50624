import BatonClient
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

    /// Spans of prompts and rows, each with its end.
    @Test func aTraceShowsPromptsAndRows() async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("trace-\(UUID().uuidString).json").path
        defer { try? FileManager.default.removeItem(atPath: file) }
        let work = try await Workload(count: 12, seed: 5, maxTokens: 20)
        try await TestCluster.run(coordinatorArguments: ["--trace", file]) { cluster in
            let client = try await cluster.connect()
            _ = try await work.check(on: client, concurrency: 6)
            await client.close()
        }
        // A query of one token never gets a row.
        try checkTrace(file, prompts: 12, rows: work.items.count { $0.expected.count > 1 })
    }

    private func checkTrace(_ file: String, prompts: Int, rows: Int) throws {
        let events = try JSONDecoder().decode([TraceEvent].self, from: Data(contentsOf: URL(fileURLWithPath: file)))
        let begins = events.filter { $0.ph == "B" }.compactMap(\.name)
        #expect(begins.count { $0.hasPrefix("prefill ") } == prompts)
        #expect(begins.count { $0.hasPrefix("request ") } == rows)
        var depth: [[Int]: Int] = [:]
        for event in events where event.ph == "B" || event.ph == "E" {
            depth[[event.pid, event.tid], default: 0] += event.ph == "B" ? 1 : -1
            #expect((0...1).contains(depth[[event.pid, event.tid], default: 0]))
        }
        #expect(depth.values.allSatisfy { $0 == 0 })
        #expect(events.count { $0.ph == "b" } == events.count { $0.ph == "e" })
    }

    @Test func aTraceThatCannotBeWrittenIsNamed() async throws {
        let outcome = try await run(
            "coordinator", ["--model", TestCluster.model, "--rpc", "tcp://127.0.0.1:*", "--workers", "tcp://127.0.0.1:*", "--trace", "/nowhere/x.json"])
        #expect(outcome.code == .exited(1))
        #expect(outcome.error.contains("/nowhere/x.json: cannot be written"))
    }
}
