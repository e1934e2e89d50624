import Foundation
import Subprocess
import Testing

extension ClusterTests {
    /// Clients that go in every phase, over HTTP and RPC, each twice; `make bench-cancel` is the long form.
    @Test func aClientMayGoInEveryPhase() async throws {
        struct Report: Decodable {
            struct Line: Decodable {
                var phase: String
                var http: Int
                var rpc: Int
            }

            var lines: [Line]
            var drops: Int
        }
        let outcome = try await baton(["bench", "cancel", "--model", TestCluster.model, "--rounds", "4", "--json"])
        try #require(outcome.code == .exited(0), "\(outcome.error)")
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        #expect(report.lines.map(\.phase) == ["queued", "prefilling", "transferring", "ready", "decoding", "parked"])
        for line in report.lines { #expect(line.http == line.rpc && line.http >= 2, "\(line)") }
        #expect(report.drops == 28)
    }
}
