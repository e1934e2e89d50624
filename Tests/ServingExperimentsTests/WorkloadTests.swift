import Testing

@testable import ServingExperiments

@Suite struct WorkloadTests {
    private static let distributions: [LengthDistribution] = [
        .uniform(least: 16, greatest: 512), .constant(128), .exponential(mean: 40, cap: 128), .exponential(mean: 512, cap: 1536),
        .shortAndLong(short: 16...64, long: 384...512, longShare: 0.1),
    ]

    @Test(arguments: distributions)
    func drawsFollowTheDistribution(distribution: LengthDistribution) {
        var random = SeededRandom(seed: 42)
        let count = 40_000
        let draws = (0..<count).map { _ in distribution.draw(&random) }
        #expect(draws.allSatisfy { (1...distribution.greatest).contains($0) })
        let mean = Double(draws.reduce(0, +)) / Double(count)
        #expect(abs(mean / distribution.mean - 1) < 0.02, "mean \(mean), expected \(distribution.mean)")
        // Kolmogorov-Smirnov at the 0.1 % level, conservative for whole numbers.
        let ordered = draws.sorted()
        for length in stride(from: 1, through: distribution.greatest, by: 7) {
            let share = Double(ordered.partitionIndex(above: length)) / Double(count)
            #expect(abs(share - distribution.cumulative(length)) < 1.95 / Double(count).squareRoot(), "at most \(length)")
        }
    }

    @Test func theLongestOfABatchIsExact() {
        // Two dice with faces 1 and 2: the longest is 1 once in four.
        #expect(abs(LengthDistribution.uniform(least: 1, greatest: 2).expectedMaximum(of: 2) - 1.75) < 1e-12)
        #expect(abs(LengthDistribution.constant(128).expectedMaximum(of: 8) - 128) < 1e-9)
        #expect(abs(LengthDistribution.uniform(least: 16, greatest: 512).mean - 264) < 1e-9)
        // E[max of n] of a continuous U[a, b] is a + (b − a)·n/(n + 1); whole numbers are close to it.
        let longest = LengthDistribution.uniform(least: 16, greatest: 512).expectedMaximum(of: 8)
        #expect(abs(longest - (16 + 496 * 8.0 / 9)) < 1)
    }

    @Test func equalSeedsGiveEqualQueries() {
        let workload = Workload.uniform
        let queries = workload.queries(count: 20, seed: 42, vocabularySize: 1000)
        #expect(queries == workload.queries(count: 20, seed: 42, vocabularySize: 1000))
        #expect(queries != workload.queries(count: 20, seed: 123, vocabularySize: 1000))
        #expect(Array(workload.queries(count: 30, seed: 42, vocabularySize: 1000).prefix(20)) == queries)
        #expect(queries.allSatisfy { $0.prompt.allSatisfy { (0..<1000).contains($0) } })
        // Lengths are the workload's, whatever the model's vocabulary.
        #expect(workload.queries(count: 20, seed: 42, vocabularySize: 7).map(\.outputCount) == queries.map(\.outputCount))
    }

    /// Pinned: a change would make stored references and results of earlier sessions those of other queries.
    @Test func theSequenceOfASeedStays() {
        let queries = Workload.uniform.queries(count: 3, seed: 42, vocabularySize: 49152)
        #expect(queries.map(\.prompt.count) == [384, 154, 34])
        #expect(queries.map(\.outputCount) == [95, 187, 447])
    }

    @Test func prioritiesChangeNothingElse() {
        let plain = Workload.uniform.queries(count: 200, seed: 42, vocabularySize: 100)
        let urgent = Workload.uniform.withUrgentShare(0.1).queries(count: 200, seed: 42, vocabularySize: 100)
        #expect(plain.map(\.prompt) == urgent.map(\.prompt))
        #expect(plain.allSatisfy { !$0.isUrgent })
        #expect((8...35).contains(urgent.count(where: \.isUrgent)))
        let all = Workload.uniform.withUrgentShare(1).queries(count: 9, seed: 42, vocabularySize: 100)
        #expect(all.allSatisfy { $0.isUrgent })
    }

    @Test func theMeanContextWeighsLongAnswersMore() {
        let fixed = Workload(name: "x", prompts: .constant(100), outputs: .constant(50))
        #expect(fixed.meanContext == 125)
        // Answers of 1 and 3 tokens: E[n²] / 2E[n] = 5 / 4, and not 1.
        let two = Workload(name: "x", prompts: .constant(100), outputs: .shortAndLong(short: 1...1, long: 3...3, longShare: 0.5))
        #expect(two.meanContext == 101)
    }
}

extension [Int] {
    /// Ascending: how many are at most `value`.
    fileprivate func partitionIndex(above value: Int) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] <= value { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
