@testable import ClusterCore
import Testing

@Suite struct MemoryForecastTests {
    /// Iteration by iteration, with every last block as badly filled as it can be.
    private func simulated(_ rows: [(tokens: Int, remaining: Int)], _ shared: [(blocks: Int, remaining: Int)], blockSize: Int) -> Int {
        let end = (rows.map(\.remaining) + shared.map(\.remaining)).max() ?? 0
        return (0...end).map { time in
            let alive = rows.filter { $0.remaining >= time }
            let tokens = alive.reduce(0) { $0 + $1.tokens + time }
            return (tokens + alive.count * (blockSize - 1)) / blockSize
                + shared.reduce(0) { $0 + ($1.remaining >= time ? $1.blocks : 0) }
        }.max() ?? 0
    }

    @Test func isThePeakOfASimulation() {
        var random = PlanningRandom(seed: 4)
        for _ in 0..<300 {
            let rows = (0..<random.below(12)).map { _ in (tokens: 1 + random.below(60), remaining: random.below(50)) }
            let shared = (0..<random.below(4)).map { _ in (blocks: random.below(9), remaining: random.below(60)) }
            var forecast = MemoryForecast(blockSize: 16)
            for row in rows { forecast.add(tokens: row.tokens, remaining: row.remaining) }
            for prefix in shared { forecast.add(sharedBlocks: prefix.blocks, remaining: prefix.remaining) }
            #expect(forecast.peak() == simulated(rows, shared, blockSize: 16))
        }
    }

    @Test func aPromptThatWaitsCountsWithItsWholeLength() {
        var forecast = MemoryForecast(blockSize: 16)
        forecast.add(tokens: 20, remaining: 13, hasBegun: false)
        #expect(forecast.peak() == 3)
        // The other one grows long after the first would have ended.
        forecast.add(tokens: 17, remaining: 111)
        #expect(forecast.peak() == 3 + (17 + 111 + 15) / 16)
    }

    @Test func isBelowTheSumOfAllWhereTheyEndInTurn() {
        var forecast = MemoryForecast(blockSize: 16)
        for end in stride(from: 16, through: 160, by: 16) { forecast.add(tokens: 16, remaining: end) }
        let sum = stride(from: 16, through: 160, by: 16).reduce(0) { $0 + (16 + $1) / 16 }
        #expect(forecast.peak() < sum)
    }
}
