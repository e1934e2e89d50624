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

    @Test func aFrozenPoolGivesOutOnlyWhatHasMemory() throws {
        var pool = BlockPool(blockCount: 6)
        let blocks = try pool.allocate(4)
        pool.release(blocks[1...2])
        pool.isFrozen = true
        #expect(pool.availableCount == 2 && pool.freshCount == 2)
        #expect(try pool.allocate(2) == [BlockID(1), BlockID(2)])
        #expect(throws: BlockPoolExhausted(wanted: 1, available: 0)) { try pool.allocate(1) }
        #expect(try pool.allocate(1, touchingFresh: true) == [BlockID(4)])
        pool.checkInvariants()
    }

    @Test func reservedBlocksOfAFrozenPoolMayBeWithheld() throws {
        var pool = BlockPool(blockCount: 3)
        _ = try pool.allocate(1, reserving: 2)
        pool.isFrozen = true
        #expect(pool.allocateReserved() == nil && pool.reservedCount == 2)
        #expect(pool.allocateReserved(touchingFresh: true) == BlockID(1))
        pool.isFrozen = false
        #expect(pool.allocateReserved() == BlockID(2))
        pool.checkInvariants()
    }

    @Test func aFrozenPoolOfWhichNothingIsUsedLetsSomebodyBegin() throws {
        var pool = BlockPool(blockCount: 3)
        pool.isFrozen = true
        #expect(try pool.allocate(2, reserving: 1).count == 2)
        #expect(pool.availableCount == 0)
    }

    @Test func freeBlocksBecomeFreshAgain() throws {
        var pool = BlockPool(blockCount: 4)
        pool.release(try pool.allocate(4))
        let refreshed = pool.refresh(keeping: 1, limit: 2)
        #expect(refreshed.count == 2 && pool.freshCount == 2 && pool.freeCount == 4)
        #expect(pool.refresh(keeping: 2, limit: 9).isEmpty)
        let next = try pool.allocate(2)
        #expect(!refreshed.contains(next[0]) && !refreshed.contains(BlockID(0)), "what has memory goes first")
        pool.checkInvariants()
    }
}
