import Testing

@testable import ServingExperiments

@Suite struct StatisticsTests {
    @Test func quantilesLieBetweenRanks() {
        #expect([4.0, 1, 3, 2].quantile(0.5) == 2.5)
        #expect([4.0, 1, 3, 2].quantile(0) == 1)
        #expect([4.0, 1, 3, 2].quantile(1) == 4)
        #expect([10.0].quantile(0.99) == 10)
        #expect((0...100).map(Double.init).quantile(0.99) == 99)
        #expect([Double]().median == nil)
    }

    @Test func aSpreadNamesMiddleAndRange() {
        #expect(Spread([3, 1, 2])?.text(1) == "2.0 [1.0, 3.0]")
        #expect(Spread([3])?.text(0) == "3")
        #expect(Spread([]) == nil)
        #expect(Spread?.none.text(1) == "–")
    }

    /// Logarithms of the ratios 1.1, 1.2, 1.3: mean 0.17999, deviation 0.08353; t with two degrees of freedom is 4.303.
    @Test func theIntervalIsStudentsOnLogarithms() throws {
        let ratio = try #require(PairedRatio([(1.1, 1), (2.4, 2), (3.9, 3)]))
        #expect(abs(ratio.ratio - 1.19722) < 1e-4)
        let interval = try #require(ratio.interval)
        #expect(abs(interval.lowerBound - 0.97286) < 1e-3)
        #expect(abs(interval.upperBound - 1.47333) < 1e-3)
        #expect(ratio.verdict == .open)
    }

    @Test func whatNoiseLeavesOpenIsOpen() throws {
        #expect(PairedRatio([(2.0, 1), (2.02, 1), (1.98, 1)])?.verdict == .higher)
        #expect(PairedRatio([(1, 2.0), (1, 2.02), (1, 1.98)])?.verdict == .lower)
        #expect(PairedRatio([(2.0, 1), (0.5, 1), (1, 1)])?.verdict == .open)
        let single = try #require(PairedRatio([(2.0, 1)]))
        #expect(single.interval == nil && single.verdict == .open)
    }

    @Test func whatCannotBeDividedHasNoRatio() {
        #expect(PairedRatio([]) == nil)
        #expect(PairedRatio([(1, 0)]) == nil)
        #expect(PairedRatio([(0, 1)]) == nil)
    }

    /// The machine halves its speed from pair to pair: the pairs do not notice.
    @Test func driftCancelsInPairs() throws {
        let ratio = try #require(PairedRatio([(15, 10), (7.5, 5), (30, 20)]))
        #expect(abs(ratio.ratio - 1.5) < 1e-12)
        #expect(ratio.verdict == .higher)
    }
}
