import Testing

@testable import ServingExperiments

@Suite struct MetricsPageTests {
    private func page(_ counts: [(String, Int)]) -> MetricsPage {
        let lines = counts.map { "baton:way_seconds_bucket{model_name=\"a b\",le=\"\($0)\"} \($1)" }
        return MetricsPage((["# TYPE baton:way_seconds histogram", "baton:tokens_total{model_name=\"a b\"} 7"] + lines).joined(separator: "\n"))
    }

    @Test func quantilesAreOfWhatCameBetween() throws {
        let before = page([("1", 5), ("2", 5), ("+Inf", 5)]), after = page([("1", 5), ("2", 15), ("+Inf", 20)])
        #expect(after["tokens_total"] == 7)
        let distribution = after.distribution(of: "way_seconds", since: before)
        #expect(distribution.count == 15)
        // Ten between 1 and 2, five beyond.
        #expect(distribution.quantile(1.0 / 3) == 1.5)
        #expect(distribution.quantile(2.0 / 3) == 2)
        #expect(distribution.quantile(0.99) == 2)
        #expect(before.distribution(of: "way_seconds", since: before).quantile(0.5) == nil)
    }

    @Test func aBookKnowsWhereRequestsAre() {
        let report = CancellationReport([
            .init(drops: [.init(phase: .queued, door: .http), .init(phase: .decoding, door: .rpc)], seconds: 0.5),
            .init(drops: [.init(phase: .queued, door: .rpc)], seconds: 1.5),
        ], repeated: 5)
        #expect(report.drops == 3 && report.repeated == 5 && report.late == 1 && report.longest == 1.5)
        #expect(report.lines.first == .init(phase: .queued, http: 1, rpc: 1))
        #expect(report.text.contains("| decoding | 0 | 1 |"))
    }
}
