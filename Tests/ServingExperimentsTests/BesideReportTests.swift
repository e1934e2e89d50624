import Testing

@testable import ServingExperiments

@Suite struct BesideReportTests {
    private func window(_ firsts: [Double], between: [Double], others: Double = 0) throws -> BesideReport.Window {
        try BesideReport.Window(
            firsts.map { first in
                ServeMeasurement(
                    sentAt: 0, inputTokens: 1, outputTokens: 1 + between.count, timeToFirstToken: first, interTokenLatencies: between,
                    latency: first + between.reduce(0, +))
            }, otherTokensPerSecond: others)
    }

    @Test func ratiosAreOfNeighbouringWindows() throws {
        var report = BesideReport()
        for drift in [1.0, 2.0] {
            report.alone.append(try window([0.1 * drift, 0.2 * drift, 0.3 * drift], between: [0.01 * drift]))
            report.beside.append(try window([0.2 * drift, 0.3 * drift, 0.6 * drift], between: [0.02 * drift], others: 100 * drift))
        }
        let rows = report.rows
        #expect(rows.map(\.measure) == ["TTFT p50", "TTFT p99", "ITL p50", "ITL p99"])
        #expect(rows.map { ($0.ratio * 1000).rounded() } == [1500, 1993, 2000, 2000])
        #expect(rows.allSatisfy { $0.pairs == 2 && $0.requests == 6 && $0.jobTokensPerSecond == 150 })
        #expect(abs(rows[0].alone - 300) < 1e-9 && abs(rows[0].beside - 450) < 1e-9)
        #expect(rows[0].low.map { abs($0 - 1.5) < 1e-9 } == true, "the drift is in both windows of a pair")
        #expect(report.text.contains("2 pairs of windows, 6 requests in each of the two; the job had 150 tokens/s"))
    }

    @Test func aWindowWithoutTokensIsNone() {
        #expect(throws: ServeFailure.self) { try window([], between: []) }
        #expect(throws: ServeFailure.self) { try window([0.1], between: []) }
    }
}
