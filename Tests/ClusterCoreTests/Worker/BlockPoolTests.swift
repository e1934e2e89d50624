import Testing

@testable import ClusterCore

@Suite struct BlockPoolTests {
    @Test func handsOutTheLowestBlocksFirstAndTheLastFreedAgain() throws {
        var pool = BlockPool(blockCount: 4)
        let blocks = try pool.allocate(3)
        #expect(blocks == [BlockID(0), BlockID(1), BlockID(2)])
        pool.release(blocks[1])
        #expect(try pool.allocate(2) == [BlockID(1), BlockID(3)])
        #expect(pool.freeCount == 0 && pool.referencedCount == 4)
        pool.checkInvariants()
    }

    @Test func aSequenceOfBlocksComesBackInItsOrder() throws {
        var pool = BlockPool(blockCount: 5)
        let blocks = try pool.allocate(3)
        pool.release(blocks)
        #expect(try pool.allocate(3) == blocks)
    }

    @Test func exhaustionChangesNothing() throws {
        var pool = BlockPool(blockCount: 2)
        _ = try pool.allocate(1)
        #expect(throws: BlockPoolExhausted(wanted: 2, available: 1)) { try pool.allocate(2) }
        #expect(pool.freeCount == 1)
        pool.checkInvariants()
    }

    @Test func aBlockIsFreeOnlyAfterItsLastReference() throws {
        var pool = BlockPool(blockCount: 1)
        let block = try pool.allocate(1)[0]
        pool.retain(block)
        pool.release(block)
        #expect(pool.freeCount == 0)
        pool.release(block)
        #expect(pool.freeCount == 1)
        pool.checkInvariants()
    }

    @Test func reservedBlocksAreNotForOthers() throws {
        var pool = BlockPool(blockCount: 3)
        try pool.reserve(2)
        #expect(pool.availableCount == 1 && pool.freeCount == 3 && pool.referencedCount == 0)
        #expect(throws: BlockPoolExhausted(wanted: 2, available: 1)) { try pool.allocate(2) }
        _ = try pool.allocate(1)
        #expect(throws: BlockPoolExhausted(wanted: 1, available: 0)) { try pool.reserve(1) }
        _ = pool.allocateReserved()
        pool.unreserve(1)
        #expect(pool.availableCount == 1)
        pool.checkInvariants()
    }

    @Test func aSharedBlockIsCopiedBeforeItIsWritten() throws {
        var pool = BlockPool(blockCount: 2)
        let block = try pool.allocate(1)[0]
        #expect(try pool.writable(block) == .inPlace)
        pool.retain(block)
        #expect(try pool.writable(block) == .copy(to: BlockID(1)))
        // The writer's reference has moved: both blocks have one holder now.
        #expect(pool.referenceCount(of: block) == 1 && pool.referenceCount(of: BlockID(1)) == 1)
        #expect(try pool.writable(block) == .inPlace)
        pool.retain(block)
        #expect(throws: BlockPoolExhausted(wanted: 1, available: 0)) { try pool.writable(block) }
        #expect(pool.referenceCount(of: block) == 2)
        pool.checkInvariants()
    }
}
