import Generation
import Testing

@testable import ClusterCore

@Suite struct PrefixIndexTests {
    private func names(_ values: UInt64...) -> [PrefixName] { values.map { PrefixName($0) } }

    @Test func tellsWhoHasHowMuchOfAPrefix() {
        var index = PrefixIndex(capacity: 100)
        index.insert(names(1, 2, 3), at: 4)
        index.insert(names(1, 2), at: 0)
        index.insert(names(9), at: 7)
        let matches = index.matches(names(1, 2, 3, 4))
        #expect(matches.map(\.slot) == [0, 4] && matches.map(\.count) == [2, 3])
        #expect(index.matches(names(2, 3)).map(\.slot) == [0, 4])
        #expect(index.matches([]).isEmpty && index.matches(names(5)).isEmpty)
    }

    @Test func whatIsGoneIsForgotten() {
        var index = PrefixIndex(capacity: 100)
        index.insert(names(1, 2, 3), at: 1)
        index.remove(names(2), at: 1)
        #expect(index.matches(names(1, 2, 3)).map(\.count) == [1])
        index.insert(names(1, 2), at: 2)
        index.clear(1)
        #expect(index.matches(names(1, 2, 3)).map(\.slot) == [2])
        index.insert(names(1), at: 1)
        #expect(index.matches(names(1)).map(\.slot) == [1, 2])
    }

    @Test func itsSizeIsBounded() {
        var index = PrefixIndex(capacity: 10)
        for value in UInt64(0)..<1000 {
            index.insert(names(value), at: Int(value % 3))
            index.remove(names(value / 2), at: Int(value % 3))
            #expect(index.count <= 10)
        }
        #expect(index.matches(names(999)).map(\.slot) == [0])
    }

    @Test func blocksOfSeveralQueriesCountOnce() {
        var blocks = SharedBlocks()
        blocks.insert(names(1, 2, 3))
        blocks.insert(names(1, 2, 4))
        #expect(blocks.savedCount == 2 && blocks.overlap(names(1, 2, 5)) == 2)
        blocks.remove(names(1, 2, 3))
        #expect(blocks.savedCount == 0 && blocks.overlap(names(1, 2, 3)) == 2)
        blocks.remove(names(1, 2, 4))
        #expect(blocks.isEmpty)
    }

    @Test func aNameStandsForSaltAndTokens() {
        let tokens: [TokenID] = (0..<12).map { $0 }
        let plain = PrefixName.names(of: tokens[...], blockSize: 4, salt: "")
        #expect(plain.count == 3 && Set(plain).count == 3)
        #expect(PrefixName.names(of: tokens[..<11], blockSize: 4, salt: "") == Array(plain.prefix(2)))
        #expect(Set(plain).isDisjoint(with: PrefixName.names(of: tokens[...], blockSize: 4, salt: "s")))
    }
}
