import Generation
import Testing

@testable import ClusterCore

@Suite struct BackgroundShareTests {
    /// Iterations of 10 ms and 2 ms more for each row.
    private var pace: BatchPace {
        var pace = BatchPace()
        for _ in 0..<100 { for rows in 1...8 { pace.noteIteration(rows: rows, time: .milliseconds(10 + 2 * rows)) } }
        return pace
    }

    @Test(arguments: [0.05, 0.1, 0.3]) func theOthersWaitLongerByTheShare(_ share: Double) throws {
        var background = BackgroundShare(share), time = 0.0
        let pace = pace, own = try #require(pace.iterationTime(rows: 2)), together = try #require(pace.iterationTime(rows: 8))
        for _ in 0..<10_000 { time += background.admits(beside: 2, all: 8, pace) ? together : own }
        let longer = time / 10_000 / own - 1
        #expect(longer <= share && longer > 0.8 * share, "\(longer)")
    }

    @Test func rowsThatCostNoMoreThanTheShareAlwaysStep() {
        var background = BackgroundShare(0.2)
        let pace = pace
        for _ in 0..<100 {
            let steps = background.admits(beside: 7, all: 8, pace)
            #expect(steps)
        }
    }

    @Test func amongThemselvesOrWithoutAShareTheyAlwaysStep() {
        var bounded = BackgroundShare(0.01), unbounded = BackgroundShare(.infinity), unmeasured = BackgroundShare(0.01)
        let pace = pace
        for _ in 0..<100 {
            let alone = bounded.admits(beside: 0, all: 8, pace), absent = bounded.admits(beside: 8, all: 8, pace)
            let free = unbounded.admits(beside: 1, all: 8, pace), early = unmeasured.admits(beside: 1, all: 8, BatchPace())
            #expect(alone && absent && free && early)
        }
    }

    /// What was saved while they were few is not spent on many steps later.
    @Test func nobodySavesUpMoreThanOneStep() {
        var background = BackgroundShare(0.1), steps = 0
        let pace = pace
        for _ in 0..<1000 { _ = background.admits(beside: 1, all: 2, pace) }
        for _ in 0..<5 where background.admits(beside: 1, all: 8, pace) { steps += 1 }
        #expect(steps <= 1)
    }
}
