import Foundation
import LocalCluster
import Subprocess
import Testing

/// Benchmarks of a cluster that is there, by both doors.
extension ClusterTests {
    private struct Summary: Decodable {
        var completed: Int
        var failed: Int
        var totalInputTokens: Int
        var totalOutputTokens: Int
    }

    @Test func loadIsSentByBothDoors() async throws {
        try await TestCluster.run(http: true) { cluster in
            let common = [
                "bench", "serve", "--num-prompts", "12", "--random-input-len", "20", "--random-output-len", "5", "--ignore-eos",
                "--max-concurrency", "4", "--json",
            ]
            let base = try #require(cluster.plan.http).url
            for door in [["--backend", "baton-rpc", "--rpc", cluster.plan.rpc], ["--base-url", base]] {
                let outcome = try await baton(common + door)
                #expect(outcome.code == .exited(0), "\(outcome.error)")
                let summary = try JSONDecoder().decode(Summary.self, from: Data(outcome.output.utf8))
                #expect(summary.completed == 12 && summary.failed == 0, "\(outcome.output)")
                #expect(summary.totalInputTokens == 240 && summary.totalOutputTokens == 60, "\(outcome.output)")
            }
            try await cluster.waitUntilIdle()
        }
        let outcome = try await baton(["bench", "serve", "--backend", "baton-rpc", "--api-key", "x"])
        #expect(outcome.code == .exited(2) && outcome.error.contains("baton-rpc"))
    }

    /// The source in `deploy/examples/client`.
    @Test func theExampleOfTheLibraryRuns() async throws {
        try await TestCluster.run { cluster in
            let outcome = try await run("ClientExample", [cluster.plan.rpc])
            #expect(outcome.code == .exited(0), "\(outcome.error)")
            for part in ["seed ", " tokens, first after ", "The fox…", "cancelled after 5 tokens", "The end"] {
                #expect(outcome.output.contains(part), "\(outcome.output)")
            }
            try await cluster.waitUntilIdle()
        }
    }

    @Test func theGatewayIsMeasured() async throws {
        let outcome = try await baton([
            "bench", "gateway", "--model", TestCluster.model, "--streams", "4", "--seconds", "1", "--pairs", "2", "--pair-seconds", "0.5",
            "--idle-connections", "100",
        ])
        try #require(outcome.code == .exited(0), "\(outcome.error)")
        for part in ["| 4 streams | over HTTP | over RPC |", "a token's way to the socket, median", "with 100 idle connections", "over 2 pairs"] {
            #expect(outcome.output.contains(part), "\(outcome.output)")
        }
        #expect(!outcome.output.contains("median | –"), "\(outcome.output)")
    }
}
