@testable import ClusterCore
import Testing

@Suite struct BatchScaleTests {
    private func scale(_ policy: BatchScale.Policy = .threshold, target: Duration? = nil) -> BatchScale {
        BatchScale(BatchScale.Configuration(policy: policy, target: target), maxSequences: 8)
    }

    /// Of 100 blocks.
    private func reading(
        rows: Int, held: Int = 10, shortfall: Int = -50, time: Duration? = nil
    ) -> BatchScale.Reading {
        BatchScale.Reading(rows: rows, heldBlocks: held, blockCount: 100, shortfall: shortfall, iterationTime: time)
    }

    @Test func theHighWatermarkAdmitsNobodyAndTheLowOneGrows() {
        var scale = scale()
        #expect(scale.rowLimit == 8)
        scale.review(reading(rows: 5, held: 90))
        #expect(scale.rowLimit == 5)
        scale.review(reading(rows: 4, held: 80))
        #expect(scale.rowLimit == 5, "between the watermarks nothing changes")
        scale.review(reading(rows: 4, held: 74))
        #expect(scale.rowLimit == 6)
        scale.review(reading(rows: 0, held: 0))
        #expect(scale.rowLimit == 8, "an empty batch knows no watermark")
    }

    @Test func whenBlocksDoNotLastThereIsOneRowLess() {
        var scale = scale()
        scale.review(reading(rows: 5, held: 60, shortfall: 1))
        #expect(scale.rowLimit == 4)
        for rows in [3, 2, 1] { scale.review(reading(rows: rows, held: 99, shortfall: 1)) }
        #expect(scale.rowLimit == 1, "one row always goes on")
    }

    @Test func theTargetStopsAdmissionAndEasesWithPatience() {
        var scale = scale(target: .milliseconds(10))
        scale.review(reading(rows: 6, time: .milliseconds(11)))
        #expect(scale.rowLimit == 6)
        scale.review(reading(rows: 4, time: .milliseconds(9)))
        #expect(scale.rowLimit == 6, "room is left as it is")
        for _ in 0..<20 { scale.review(reading(rows: 6, time: .microseconds(9_700))) }
        #expect(scale.rowLimit == 6, "within 0.95 of the target it is left as it is")
        for _ in 0..<BatchScale.patience - 1 { scale.review(reading(rows: 6, time: .milliseconds(9))) }
        #expect(scale.rowLimit == 7)
        scale.review(reading(rows: 7, time: .milliseconds(9)))
        #expect(scale.rowLimit == 7, "the average has to follow first")
    }

    @Test func scarceMemoryHoldsUntilTheLowWatermark() {
        var scale = scale()
        scale.note(.init(available: 80, total: 1_000))
        scale.review(reading(rows: 3))
        #expect(scale.isMemoryShort && scale.rowLimit == 3)
        scale.note(.init(available: 120, total: 1_000))
        #expect(scale.isMemoryShort, "88 percent are between the watermarks")
        scale.note(.init(available: 200, total: 1_000))
        scale.review(reading(rows: 3))
        #expect(!scale.isMemoryShort && scale.rowLimit == 4)
    }

    @Test(arguments: [(0, 0), (-5, 100), (200, 100), (Int.min, Int.max), (Int.max, Int.min)])
    func absurdFiguresTrapNowhere(available: Int, total: Int) {
        var scale = scale()
        scale.note(.init(available: available, total: total))
        scale.checkInvariants()
    }

    @Test func offMeansAllRowsAlways() {
        var scale = scale(.off, target: .milliseconds(1))
        scale.note(.init(available: 0, total: 1_000))
        scale.review(reading(rows: 8, held: 100, shortfall: 9, time: .seconds(1)))
        #expect(scale.rowLimit == 8 && !scale.isMemoryShort)
    }
}

@Suite struct BatchPaceTests {
    /// Iterations of `base` + `row` milliseconds a row; queries of `lengths` tokens, `interval` milliseconds apart.
    private func pace(base: Double, row: Double, interval: Int, lengths: [Int], rows: ClosedRange<Int> = 1...8) -> BatchPace {
        var pace = BatchPace()
        for step in 0..<400 {
            let count = rows.lowerBound + step % rows.count
            pace.noteIteration(rows: count, time: .microseconds((base + row * Double(count)) * 1000))
            pace.noteArrival(at: Instant(nanoseconds: Int64(step * interval) * 1_000_000))
            pace.noteEnd(tokens: lengths[step % lengths.count])
        }
        return pace
    }

    @Test func fitsWhatAnIterationTakes() throws {
        let pace = pace(base: 20, row: 3, interval: 500, lengths: [100])
        for count in [1, 4, 16] {
            let time = try #require(pace.iterationTime(rows: count))
            #expect(abs(time - 0.02 - 0.003 * Double(count)) < 1e-6)
        }
    }

    @Test func alwaysTheSameNumberOfRowsStillGivesAUsefulPace() throws {
        let pace = pace(base: 20, row: 3, interval: 500, lengths: [100], rows: 4...4)
        let (one, many) = (try #require(pace.iterationTime(rows: 1)), try #require(pace.iterationTime(rows: 16)))
        #expect(one > 0 && one < 0.032 && many > 0.032)
    }

    @Test func nothingKnownIsNoAnswer() {
        #expect(BatchPace().cheapestRowCount(upTo: 8, .init()) == nil)
    }

    @Test func varyingLengthsAreWorthSharingTheEngine() {
        let pace = pace(base: 20, row: 3, interval: 500, lengths: [2, 2, 2, 2, 2, 2, 2, 700])
        #expect(pace.cheapestRowCount(upTo: 16, .init()) == 16)
    }

    @Test func whereRowsAddLittleThroughputAndLengthsAreAlikeFewerAreCheaper() throws {
        let pace = pace(base: 1, row: 8, interval: 1_500, lengths: [100])
        let few = try #require(pace.cheapestRowCount(upTo: 16, .init(latency: 1, cost: 0)))
        #expect(few < 8)
        let cheap = try #require(pace.cheapestRowCount(upTo: 16, .init(latency: 0, cost: 1)))
        #expect(cheap > few, "cost alone wants the engine full")
    }
}
