import ClusterCore
import Testing

@testable import ServingExperiments

@Suite struct PlacementExperimentTests {
    private static func experiment(_ policies: [PlacementPolicy], workers: [Int], count: Int = 2500) -> PlacementExperiment {
        PlacementExperiment(
            count: count, workers: workers, policies: policies, utilisation: 0.75, memoryShare: 1.25, scale: 8,
            cost: StepCost(prefillRate: 3336, stepSeconds: 0.0078, contextRate: 2_100_000), seed: 3)
    }

    @Test func tracesHaveTheShapeTheyAreSaidToHave() {
        for trace in [ReuseTrace.azure, .mooncake] {
            let lines = trace.lines(4000, seed: 1)
            #expect(lines == trace.lines(4000, seed: 1) && lines != trace.lines(4000, seed: 2))
            let middle = lines.map(\.inputLength).sorted()[2000], published = trace.shape.inputs.length(at: 0.5)
            #expect(abs(Double(middle) / published - 1) < 0.2)
            #expect(lines.allSatisfy { $0.hashIDs.count == $0.inputLength / TraceLine.blockLength })
        }
    }

    @Test func anInfiniteCacheForgetsNothing() {
        let prompts: [[Int32]] = [[1, 2, 3, 4, 5], [1, 2, 3, 4, 9], [1, 2, 7, 8, 9], [1, 2, 3, 4, 5]]
        let cache = InfiniteCache(BlockChains(prompts, blockSize: 2), lengths: prompts.map(\.count), blockSize: 2)
        #expect(cache.found == [0, 4, 2, 4] && cache.hitRate == 0.5)
    }

    @Test func oneWorkerFindsWhatThereIs() throws {
        let row = try #require(Self.experiment([.prefix], workers: [1], count: 300).run([.azure]).rows.first)
        #expect(row.outcome.imbalance == 0 && row.hitShare > 0.99 && row.outcome.waits.count == 300)
        #expect(row.outcome.utilisation > 0.5 && row.outcome.utilisation < 1)
    }

    /// Fails if placement follows no prefixes, or follows them at any price.
    @Test func prefixesAreFoundAndTheLoadIsEven() throws {
        for row in Self.experiment([.prefix], workers: [4, 8]).run().rows {
            #expect(row.hitShare >= 0.95, "\(row.trace), \(row.workers) workers: \(row.hitShare)")
            #expect(row.outcome.imbalance <= 0.1, "\(row.trace), \(row.workers) workers: \(row.outcome.imbalance)")
        }
    }

    @Test func othersFindLess() {
        let rows = Self.experiment(PlacementPolicy.allCases, workers: [8]).run([.mooncake]).rows
        let shares = rows.map(\.hitShare)
        #expect(shares.count == 3 && shares[0] > shares[1] + 0.2 && shares[0] > shares[2] + 0.2, "\(shares)")
    }

    @Test func theReportNamesEveryRun() {
        let report = Self.experiment(PlacementPolicy.allCases, workers: [2], count: 50).run()
        #expect(report.rows.count == 6 && report.text.split(separator: "\n").count == 8)
        #expect(report.text.contains("| azure-conversation | 2 | `round-robin` |"))
    }
}
