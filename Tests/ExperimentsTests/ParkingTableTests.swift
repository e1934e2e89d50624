import ClusterCore
import Testing

@testable import Experiments

@Suite struct ParkingTableTests {
    private func measurement(_ tokens: Int, prefill: Int64, park: Int64, resume: Int64) -> ParkingBenchmark.Measurement {
        ParkingBenchmark.Measurement(
            tokens: tokens, byteCount: tokens * 10, prefill: .microseconds(prefill),
            costs: [.memory: .init(park: .microseconds(park), resume: .microseconds(resume))])
    }

    @Test func aRowIsMediansAndTheRatioOfNeighbours() throws {
        var table = ParkingTable()
        table.add([
            measurement(64, prefill: 100, park: 10, resume: 30), measurement(64, prefill: 400, park: 20, resume: 60),
            measurement(64, prefill: 200, park: 30, resume: 90),
        ])
        let row = try #require(table.rows.first)
        #expect(table.rows.count == 1 && row.tier == "memory" && row.tokens == 64 && row.bytes == 640 && row.rounds == 3)
        #expect(row.parkMicroseconds == 20 && row.resumeMicroseconds == 60 && row.prefillMicroseconds == 200)
        #expect(row.ofRecomputing == 0.4 && row.ofRecomputingLow == 0.2 && row.ofRecomputingHigh == 0.6)
    }

    @Test func fromWhereOnParkingCostsLess() {
        var table = ParkingTable()
        table.add([measurement(16, prefill: 10, park: 3, resume: 3)])
        table.add([measurement(32, prefill: 10, park: 9, resume: 9)])
        #expect(table.leastWinningLength(.memory) == nil, "the longest does not win")
        table.add([measurement(128, prefill: 90, park: 20, resume: 20)])
        table.add([measurement(64, prefill: 50, park: 20, resume: 20)])
        #expect(table.leastWinningLength(.memory) == 64)
        #expect(table.leastWinningLength(.file) == nil)
    }
}

@Suite struct MedianIntervalTests {
    @Test func itIsOfTheValuesThemselves() throws {
        let interval = try #require(MedianInterval((1...101).map(Double.init).reversed()))
        #expect(interval.median == 51 && interval.low == 41 && interval.high == 61)
        #expect(MedianInterval([]) == nil)
    }

    @Test func fewValuesLeaveItAllOpen() throws {
        let interval = try #require(MedianInterval([3, 1, 2]))
        #expect(interval.median == 2 && interval.low == 1 && interval.high == 3)
    }
}
