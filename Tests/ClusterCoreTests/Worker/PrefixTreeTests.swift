import Generation
import Testing

@testable import ClusterCore

@Suite struct PrefixTreeTests {
    private func tokens(_ values: ClosedRange<Int32>) -> ArraySlice<TokenID> { Array(values)[...] }

    /// Blocks of four tokens; the whole sequence is kept and released.
    private func keep(_ tokens: ArraySlice<TokenID>, in pool: inout BlockPool, salt: String = "") throws -> [BlockID] {
        var blocks = try pool.allocate((tokens.count + 3) / 4)
        pool.keep(tokens, in: &blocks, salt: salt)
        pool.release(blocks)
        pool.checkInvariants()
        return blocks
    }

    @Test func wholeBlocksAreSharedAndThePartOfOneIsCopied() throws {
        var pool = BlockPool(blockCount: 8, cachingBlocksOf: 4)
        let blocks = try keep(tokens(1...10), in: &pool)
        #expect(pool.cachedCount == 3 && pool.referencedCount == 0 && pool.availableCount == 8)
        let claim = try pool.claim(4, for: tokens(1...16), salt: "")
        #expect(Array(claim.blocks.prefix(2)) == Array(blocks.prefix(2)) && claim.sharedCount == 2)
        #expect(claim.tokenCount == 10 && claim.copy == .init(source: blocks[2], target: claim.blocks[2]))
        #expect(pool.referencedCount == 4 && pool.cachedCount == 1)
        let other = try pool.claim(2, for: tokens(1...6), salt: "")
        #expect(other.blocks[0] == blocks[0] && other.copy == .init(source: blocks[1], target: other.blocks[1]))
        #expect(other.tokenCount == 6 && pool.referenceCount(of: blocks[0]) == 2)
        pool.checkInvariants()
    }

    @Test func aSaltHasATreeOfItsOwn() throws {
        var pool = BlockPool(blockCount: 8, cachingBlocksOf: 4)
        let mine = try keep(tokens(1...8), in: &pool, salt: "a")
        #expect(pool.match(tokens(1...8), salt: "").blocks.isEmpty && pool.match(tokens(1...8), salt: "b").blocks.isEmpty)
        #expect(pool.match(tokens(1...8), salt: "a").blocks == mine)
    }

    @Test func equalBlocksBecomeOne() throws {
        var pool = BlockPool(blockCount: 8, cachingBlocksOf: 4)
        var first = try pool.allocate(2), second = try pool.allocate(3)
        pool.keep(tokens(1...8), in: &first, salt: "")
        pool.keep(tokens(1...12), in: &second, salt: "")
        #expect(Array(second.prefix(2)) == first && pool.referencedCount == 3 && pool.freeCount == 5)
        pool.release(first)
        pool.release(second)
        pool.checkInvariants()
        #expect(pool.match(tokens(1...12), salt: "").blocks == second)
    }

    @Test func aBlockThatFillsUpIsKnownByAllItsTokens() throws {
        var pool = BlockPool(blockCount: 4, cachingBlocksOf: 4)
        var blocks = try pool.allocate(2)
        pool.keep(tokens(1...6), in: &blocks, salt: "")
        #expect(pool.match(tokens(1...8), salt: "").partial == .init(block: blocks[1], count: 2))
        pool.keep(tokens(1...8), in: &blocks, salt: "")
        #expect(pool.match(tokens(1...8), salt: "").blocks == blocks)
        pool.release(blocks)
        pool.checkInvariants()
    }

    @Test func whatSavesLeastGoesFirstAndNothingThatIsUsed() throws {
        var pool = BlockPool(blockCount: 6, cachingBlocksOf: 4)
        let often = try keep(tokens(1...8), in: &pool)
        for _ in 0..<3 { pool.release(try pool.claim(2, for: tokens(1...8), salt: "").blocks) }
        _ = try keep(tokens(101...108), in: &pool)
        let used = try pool.claim(2, for: tokens(101...108), salt: "")
        _ = try keep(tokens(201...208), in: &pool)
        #expect(pool.freeCount == 0 && pool.cachedCount == 4)
        _ = try pool.allocate(2)
        #expect(pool.match(tokens(1...8), salt: "").blocks == often && pool.match(tokens(201...208), salt: "").blocks.isEmpty)
        _ = try pool.allocate(2)
        #expect(throws: BlockPoolExhausted.self) { try pool.allocate(1) }
        #expect(pool.match(tokens(101...108), salt: "").blocks == used.blocks && pool.cachedCount == 0)
        pool.checkInvariants()
    }

    @Test func useInThePastIsForgottenInTime() throws {
        var pool = BlockPool(blockCount: 4, cachingBlocksOf: 4)
        _ = try keep(tokens(1...4), in: &pool)
        for _ in 0..<8 { pool.release(try pool.claim(1, for: tokens(1...4), salt: "").blocks) }
        for round in Int32(1)...60 { _ = try keep(tokens(round * 10...round * 10 + 3), in: &pool) }
        #expect(pool.match(tokens(1...4), salt: "").blocks.isEmpty)
    }

    @Test func blocksThatSomebodyStillReadsDoNotStopTheEvictionOfThoseBefore() throws {
        var pool = BlockPool(blockCount: 2, cachingBlocksOf: 4)
        var blocks = try pool.allocate(2)
        pool.keep(tokens(1...8), in: &blocks, salt: "")
        // A transport reads the last block only.
        pool.retain(blocks[1])
        pool.release(blocks)
        #expect(try pool.allocate(1) == [blocks[0]])
        pool.checkInvariants()
        pool.release(blocks[1])
        #expect(pool.freeCount == 1 && pool.cachedCount == 0)
    }

    @Test func groupsStayUntilTheyAreOverOrNobodyElseCouldWork() throws {
        var pool = BlockPool(blockCount: 4, cachingBlocksOf: 4)
        var blocks = try pool.allocate(2)
        pool.keep(tokens(1...8), in: &blocks, salt: "")
        pool.pin(blocks[...], for: GroupID(1))
        pool.release(blocks)
        #expect(pool.availableCount == 2 && pool.idlePinnedCount == 2 && pool.cachedCount == 0)
        #expect(throws: BlockPoolExhausted.self) { try pool.allocate(3) }
        pool.unpin(GroupID(1))
        #expect(pool.availableCount == 4 && pool.prefixCacheCounters.prematureEvictions == 0)
        _ = try pool.claim(2, for: tokens(1...8), salt: "")
        pool.pin(blocks[...], for: GroupID(2))
        pool.release(blocks)
        pool.unpin(for: 4)
        #expect(pool.availableCount == 4 && pool.prefixCacheCounters.prematureEvictions == 2)
        pool.checkInvariants()
    }

    @Test func aFrozenPoolGivesCachedBlocksBack() throws {
        var pool = BlockPool(blockCount: 6, cachingBlocksOf: 4)
        _ = try keep(tokens(1...16), in: &pool)
        pool.isFrozen = true
        _ = try pool.allocate(1)
        #expect(pool.cachedCount == 3 && pool.freshCount == 2)
        #expect(pool.refresh(keeping: 0, limit: 2).count == 2 && pool.freshCount == 4 && pool.cachedCount == 1)
        pool.checkInvariants()
    }

    /// Random sequences with common beginnings, against a model that knows what every block holds and nothing of trees.
    @Test(arguments: 1...60)
    func findsWhatIsThereAndNothingElse(seed: Int) throws {
        var random = Xorshift(seed)
        let blockSize = random.draw(1...5)
        var pool = BlockPool(blockCount: random.draw(4...40), cachingBlocksOf: blockSize)
        /// By block: the salt and all tokens up to its last one, as it was written.
        var contents: [BlockID: (salt: String, tokens: [TokenID])] = [:]
        var held: [(tokens: [TokenID], salt: String, blocks: [BlockID])] = []
        func known(_ tokens: ArraySlice<TokenID>, _ salt: String) -> Int {
            // A block is known with all before it; those of one chain go from the last.
            contents.filter { pool.tree?.contains($0.key) == true && $0.value.salt == salt }.map { entry in
                zip(entry.value.tokens, tokens).prefix { $0 == $1 }.count
            }.max() ?? 0
        }
        for _ in 0..<300 {
            let tokens = (0..<random.draw(1...24)).map { TokenID($0 < 12 ? random.draw(0...1) : random.draw(0...3)) }
            let salt = ["", "s"][random.draw(0...1)]
            let expected = known(tokens[...], salt)
            let blockCount = (tokens.count + blockSize - 1) / blockSize
            if let claim = try? pool.claim(blockCount, for: tokens[...], salt: salt) {
                #expect(claim.tokenCount == expected || claim.copy == nil && claim.tokenCount == expected / blockSize * blockSize)
                for (index, block) in claim.blocks.prefix(claim.sharedCount).enumerated() {
                    #expect(contents[block]?.tokens == Array(tokens.prefix((index + 1) * blockSize)))
                    #expect(contents[block]?.salt == salt)
                }
                if let copy = claim.copy, let source = contents[copy.source] {
                    #expect(source.salt == salt && source.tokens.starts(with: tokens.prefix(claim.tokenCount)))
                }
                var blocks = claim.blocks
                for (index, block) in blocks.enumerated().dropFirst(claim.sharedCount) {
                    contents[block] = (salt, Array(tokens.prefix((index + 1) * blockSize)))
                }
                pool.keep(tokens[...], in: &blocks, salt: salt)
                held.append((tokens, salt, blocks))
            }
            while held.count > 3 || !held.isEmpty && random.draw(0...2) == 0 {
                pool.release(held.remove(at: random.draw(0...held.count - 1)).blocks)
            }
            pool.checkInvariants()
        }
        for sequence in held { pool.release(sequence.blocks) }
        #expect(pool.referencedCount == 0 && pool.availableCount == pool.blockCount)
    }
}

private struct Xorshift {
    private var state: UInt64

    init(_ seed: Int) { state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 }

    mutating func draw(_ range: ClosedRange<Int>) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return range.lowerBound + Int(state % UInt64(range.count))
    }
}
