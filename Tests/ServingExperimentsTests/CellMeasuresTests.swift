import Testing

@testable import ServingExperiments

@Suite struct CellMeasuresTests {
    private static func record(
        _ times: [Double], submitted: Double = 0, queued: Double = 0, isUrgent: Bool = false, transfer: Double = 0, isExact: Bool = true
    ) -> QueryRecord {
        QueryRecord(
            isUrgent: isUrgent, promptCount: 10, submitted: submitted, tokenTimes: times, queued: queued, exposedTransfer: transfer,
            attempts: 1, isExact: isExact)
    }

    @Test func theSteadyWindowLeavesRampAndDrainOut() throws {
        // Two rows: full from second 2 on; the last query begins at second 6; 10 tokens of 2.5 each fall in between.
        let records = [
            Self.record([1, 2, 3]), Self.record([2, 3, 4]), Self.record([4, 5, 6]), Self.record([6, 8, 10]),
        ]
        let measures = try #require(CellMeasures(records, batch: 2))
        #expect(measures.rampSeconds == 2 && measures.drainSeconds == 4)
        #expect(measures.seconds == 10 && measures.queriesPerMinute == 24)
        // Tokens at 3, 3, 4, 4, 5, 6, 6 in four seconds.
        #expect(measures.steadyOutputRate == 7.0 / 4)
        #expect(measures.steadyQueriesPerMinute == 7.0 / 4 / 3 * 60)
        #expect(measures.completions == [3, 4, 6, 10])
    }

    @Test func aFewQueriesHaveNoSteadyWindow() throws {
        let measures = try #require(CellMeasures([Self.record([1, 2]), Self.record([1, 3])], batch: 2))
        #expect(measures.steadyOutputRate == nil && measures.steadyQueriesPerMinute == nil)
    }

    @Test func theTimeInTheQueueIsApart() throws {
        let measures = try #require(CellMeasures([Self.record([5, 6], submitted: 1, queued: 3, transfer: 0.1)], batch: 1))
        #expect(measures.timeToFirstToken?.median == 4)
        #expect(measures.serviceTime?.median == 1)
        #expect(abs(measures.exposedTransferShare - 0.1) < 1e-12)
        #expect(measures.interToken?.p99 == 1)
    }

    @Test func urgentQueriesAndTheirVictimsAreApart() throws {
        let records = [
            Self.record([1, 2], isUrgent: true), Self.record([4, 9], submitted: 1), Self.record([6, 8], submitted: 2, isExact: false),
        ]
        let measures = try #require(CellMeasures(records, batch: 2))
        #expect(measures.urgentTimeToFirstToken?.median == 1)
        #expect(measures.ordinaryDuration?.median == 7)
        #expect(!measures.isExact && measures.exactCount == 2)
    }

    @Test func anAnswerWithoutTokensIsNoMeasurement() {
        #expect(CellMeasures([Self.record([])], batch: 1) == nil)
        #expect(CellMeasures([], batch: 1) == nil)
    }
}
