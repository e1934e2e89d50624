import Generation
import Testing

@testable import ClusterCore

@Suite struct DecodeBatchTests {
    private func row(
        _ request: UInt64, tokens: Int, blocks: [BlockID], reserved: Int = 0, maxTokens: Int32 = 100
    ) -> DecodeRow {
        let attempt = AttemptID(request: RequestID(request), ordinal: 1)
        let order = SequenceOrder(
            attempt: attempt, tokens: Array(repeating: 7, count: tokens), promptCount: tokens, sampling: .greedy,
            stop: StopConditions(maxTokens: maxTokens), priority: .normal)
        return DecodeRow(
            DecodeQuery(order: order, blocks: blocks, reserved: reserved),
            next: TokenEvent(attempt: attempt, index: 0, token: 1))
    }

    @Test func slotsStayAndTheLowestFreeOneIsTaken() {
        var batch = DecodeBatch(maxSequences: 4, blockSize: 4)
        for request in 1...3 { _ = batch.insert(row(UInt64(request), tokens: 1, blocks: [BlockID(0)])) }
        _ = batch.remove(0)
        _ = batch.remove(1)
        #expect(batch.start().rows.map(\.slot) == [2])
        _ = batch.finish([Sample(attempt: row(3, tokens: 1, blocks: []).attempt, token: .success(2))])
        #expect(batch.insert(row(4, tokens: 1, blocks: [BlockID(0)])) == 0)
        #expect(batch.insert(row(5, tokens: 1, blocks: [BlockID(0)])) == 1)
        batch.checkInvariants()
        #expect(batch.start().rows.map(\.attempt.request.rawValue) == [4, 5, 3])
    }

    @Test func aRowGrowsFromItsReservationThenFromThePool() throws {
        var pool = BlockPool(blockCount: 3)
        var batch = DecodeBatch(maxSequences: 1, blockSize: 1)
        let blocks = try pool.allocate(1)
        try pool.reserve(1)
        let slot = batch.insert(row(1, tokens: 1, blocks: blocks, reserved: 1))
        for expected in [1, 0] {
            #expect(pool.availableCount == 1)
            #expect(batch.grow(slot, in: &pool) == .ready)
            #expect(pool.availableCount == expected)
            _ = batch.start()
            _ = batch.finish([Sample(attempt: row(1, tokens: 1, blocks: []).attempt, token: .success(2))])
        }
        #expect(batch.grow(slot, in: &pool) == .exhausted)
        #expect(batch.slots[slot]?.blockTable == [BlockID(0), BlockID(1), BlockID(2)])
    }

    @Test func aSharedLastBlockIsCopiedBeforeTheRowWritesIt() throws {
        var pool = BlockPool(blockCount: 2)
        var batch = DecodeBatch(maxSequences: 1, blockSize: 4)
        let blocks = try pool.allocate(1)
        pool.retain(blocks)
        let slot = batch.insert(row(1, tokens: 2, blocks: blocks))
        #expect(batch.grow(slot, in: &pool) == .copied(from: BlockID(0), to: BlockID(1)))
        #expect(batch.grow(slot, in: &pool) == .ready)
        #expect(batch.start().rows.map(\.blockTable) == [[BlockID(1)]])
    }

    @Test func anIterationSaysWhatToRunAndWhere() throws {
        var batch = DecodeBatch(maxSequences: 2, blockSize: 4)
        _ = batch.insert(row(1, tokens: 6, blocks: [BlockID(3), BlockID(1)], maxTokens: 2))
        let iteration = batch.start()
        let first = try #require(iteration.rows.first)
        #expect(first.input == 1 && first.position == 6 && first.length == 7)
        #expect(first.sampling.index == 1 && first.sampling.history == nil)
        #expect(iteration.longestTable == 2)
        let outcome = try #require(batch.finish([Sample(attempt: first.attempt, token: .success(9))]).first)
        guard case .ended(let event) = outcome.kind else {
            Issue.record("\(outcome)")
            return
        }
        #expect(event.token == 9 && event.index == 1)
    }
}
