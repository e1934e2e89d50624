@testable import ClusterCore
import Generation
import Testing

@Suite struct DenseShapingTests {
    private typealias Row = DenseShaping.Row

    private func blocks(_ numbers: UInt32...) -> [BlockID] { numbers.map { BlockID($0) } }

    @Test func aShorterQueryIsPaddedToTheWidth() {
        let rows = [Row(padding: 0, blocks: 4), Row(padding: 2, blocks: 2)]
        #expect(DenseShaping.width(of: rows) == 4)
        let shaping = DenseShaping.insertion(of: 1, into: rows)
        #expect(shaping == DenseShaping(change: 0, padding: 3))
        #expect(shaping.blocksNeeded(rows: 2) == 3)
        #expect(DenseShaping.insertion(of: 4, into: rows) == DenseShaping(change: 0, padding: 0))
    }

    @Test func aLongerQueryWidensEveryRow() {
        let rows = [Row(padding: 0, blocks: 4), Row(padding: 2, blocks: 2)]
        let shaping = DenseShaping.insertion(of: 7, into: rows)
        #expect(shaping == DenseShaping(change: 3, padding: 0))
        #expect(shaping.blocksNeeded(rows: 2) == 6)
    }

    @Test func theFirstQueryNeedsNoPadding() {
        #expect(DenseShaping.insertion(of: 7, into: []) == DenseShaping(change: 0, padding: 0))
    }

    @Test func onlySharedPaddingIsTrimmed() {
        #expect(DenseShaping.trim([]) == nil)
        #expect(DenseShaping.trim([Row(padding: 0, blocks: 3), Row(padding: 2, blocks: 1)]) == nil)
        #expect(DenseShaping.trim([Row(padding: 1, blocks: 2), Row(padding: 2, blocks: 1)])
            == DenseShaping(change: -1, padding: 0))
    }

    @Test func moreStridesOfPaddingMoveTheRowBack() {
        let placement = DenseShaping.move(padding: blocks(9), blockTable: blocks(1, 2, 3), adding: blocks(7, 8))
        #expect(placement.padding == blocks(9, 1, 2) && placement.blockTable == blocks(3, 7, 8))
        // The last first: block 3 is overwritten by the first of the row only after it was copied.
        #expect(placement.copies.map(\.from) == blocks(3, 2, 1) && placement.copies.map(\.to) == blocks(8, 7, 3))
        #expect(placement.freed.isEmpty)
    }

    @Test func lessPaddingMovesTheRowForward() {
        let placement = DenseShaping.move(padding: blocks(9, 8), blockTable: blocks(1, 2, 3), removing: 1)
        #expect(placement.padding == blocks(9) && placement.blockTable == blocks(8, 1, 2) && placement.freed == blocks(3))
        #expect(placement.copies.map(\.from) == blocks(1, 2, 3) && placement.copies.map(\.to) == blocks(8, 1, 2))
    }

    @Test(arguments: 1...8, 0...4) func contentsMoveWithTheRow(count: Int, change: Int) {
        let table = (0..<UInt32(count)).map { BlockID($0) }
        let added = (0..<UInt32(change)).map { BlockID(100 + $0) }
        var contents: [BlockID: Int] = [:]
        for (index, block) in table.enumerated() { contents[block] = index }
        let wide = DenseShaping.move(padding: blocks(50, 51), blockTable: table, adding: added)
        for copy in wide.copies { contents[copy.to] = contents[copy.from] }
        #expect(wide.blockTable.map { contents[$0] } == Array(0..<count) && wide.padding.count == change + 2)
        guard change > 0 else { return }
        let narrow = DenseShaping.move(padding: wide.padding, blockTable: wide.blockTable, removing: change)
        for copy in narrow.copies { contents[copy.to] = contents[copy.from] }
        #expect(narrow.blockTable.map { contents[$0] } == Array(0..<count))
        #expect(narrow.padding.count == 2 && narrow.freed.count == change)
    }
}

/// The dense layout on a decode worker: blocks of 4 tokens, 3 layers.
@Suite struct DenseBatchTests {
    private static let bytesPerBlock = UInt64(WorkerPair.geometry.bytesPerLayerBlock * 3)

    private func run(_ pair: WorkerPair, until embeds: UInt64) {
        #expect(pair.run { $0.decode[0].counters.batch.embeds == embeds })
    }

    @Test func insertAndTrimCostWhatTheyMove() {
        let pair = WorkerPair(layout: .dense)
        func copied() -> UInt64 { pair.decode[0].counters.batch.blocksCopied }
        // 17 tokens and the next: 5 blocks.
        let long = WorkerPair.sequence(1, promptCount: 17, maxTokens: 60)
        pair.submit(long)
        run(pair, until: 1)
        #expect(copied() == 0 && pair.decode[0].load.referencedBlocks == 5)
        // 2 blocks, padded to as many as the longest has by now.
        let short = WorkerPair.sequence(2, promptCount: 5, maxTokens: 60)
        pair.submit(short)
        run(pair, until: 2)
        #expect(copied() == 2)
        // Longer than both: both are moved. What else has come in meanwhile is their growth.
        let longest = WorkerPair.sequence(3, promptCount: 64, maxTokens: 2)
        pair.submit(longest)
        pair.run { $0.decode[0].counters.batch.embeds == 2 && $0.decode[0].load.waiting == 1 && $0.has(.kvWhole(longest.attempt)) }
        run(pair, until: 3)
        let widened = copied()
        #expect(widened >= 2 + 5 + 2)
        // It leaves with its second token, and the two others are moved once more.
        pair.run { $0.decode[0].counters.batch.removals == 1 && $0.decode[0].counters.batch.blocksCopied > widened }
        #expect(copied() >= widened + 5 + 2)
        #expect(pair.decode[0].counters.batch.bytesCopied == copied() * Self.bytesPerBlock)
        pair.run { $0.isAtRest && $0.decode[0].counters.batch.removals == 3 }
        for sequence in [long, short, longest] { #expect(pair.tokens(of: sequence) == WorkerPair.answer(to: sequence)) }
    }

    @Test func blockTablesMoveNothing() {
        let pair = WorkerPair()
        for number in 1...6 {
            pair.submit(WorkerPair.sequence(UInt64(number), promptCount: 5 + 9 * number, maxTokens: Int32(30 - 4 * number)))
        }
        pair.run { $0.isAtRest && $0.decode[0].counters.batch.removals == 6 }
        #expect(pair.decode[0].counters.batch.blocksCopied == 0)
    }

    /// The same requests in both layouts, in a pool in which padding competes with queries.
    @Test(arguments: 1...8) func answersDoNotDependOnTheLayout(seed: UInt64) {
        let pair = WorkerPair(seed: seed, blockCount: 30, maxSequences: 4, maxModelLength: 100, layout: .dense)
        let sequences = (1...10).map { number in
            WorkerPair.sequence(
                UInt64(number), promptCount: 1 + (number * 13 * Int(seed)) % 40,
                maxTokens: Int32(2 + (number * 7 * Int(seed)) % 25))
        }
        // A query that gives way is replayed by the coordinator; here it comes again as it was.
        var pending = sequences[...], attempts: [RequestID: UInt32] = [:], seen = 0
        pair.run { pair in
            if let next = pending.first, pair.decode[0].load.rows + pair.decode[0].load.waiting < 4 {
                pending.removeFirst()
                pair.submit(next)
            }
            for report in pair.reports[seen...] {
                guard case .decodeFailed(let attempt, _) = report else { continue }
                attempts[attempt.request, default: 1] += 1
            }
            seen = pair.reports.count
            return pending.isEmpty && pair.isAtRest
        }
        #expect(pair.isAtRest && pending.isEmpty)
        for sequence in sequences where attempts[sequence.attempt.request] == nil {
            #expect(pair.tokens(of: sequence) == WorkerPair.answer(to: sequence))
        }
        #expect(attempts.count < sequences.count)
    }

    /// A query that does not fit beside the padding waits for the batch to shrink; nobody gives way for it.
    @Test func paddingThatDoesNotFitLetsTheQueryWait() {
        let pair = WorkerPair(blockCount: 24, maxSequences: 4, maxModelLength: 96, layout: .dense)
        let short = WorkerPair.sequence(1, promptCount: 4, maxTokens: 20)
        let long = WorkerPair.sequence(2, promptCount: 60, maxTokens: 4)
        pair.submit(short)
        run(pair, until: 1)
        pair.submit(long)
        #expect(pair.run { $0.has(.kvWhole(long.attempt)) })
        #expect(pair.decode[0].counters.batch.embeds == 1)
        #expect(pair.run { $0.isAtRest && $0.decode[0].counters.batch.removals == 2 })
        #expect(pair.decode[0].counters.batch.waits == 1 && pair.decode[0].counters.evictions == 0)
        for sequence in [short, long] { #expect(pair.tokens(of: sequence) == WorkerPair.answer(to: sequence)) }
    }
}
