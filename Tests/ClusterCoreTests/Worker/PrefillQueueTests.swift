import ClusterCore
import Testing

@Suite struct PrefillQueueTests {
    private func rank(_ request: UInt64, _ priority: Priority = .normal) -> Rank {
        Rank(priority: priority, request: RequestID(request))
    }

    private func summary(_ chunks: [PrefillQueue.Chunk]) -> [String] {
        chunks.map { "\($0.request) \($0.range)\($0.endsPrompt ? " end" : "")" }
    }

    @Test func fillsAStepInOrderOfArrival() {
        var queue = PrefillQueue()
        queue.insert(rank(3), tokenCount: 4)
        queue.insert(rank(1), tokenCount: 5)
        queue.insert(rank(2), tokenCount: 9)
        queue.checkInvariants()
        let chunks = queue.plan(tokenBudget: 16) { _, _ in .begins(computed: 0) }
        #expect(summary(chunks) == ["r1 0..<5 end", "r2 0..<9 end", "r3 0..<2"])
    }

    @Test func nothingOfLesserPriorityDelaysAFirstToken() {
        var queue = PrefillQueue()
        for (request, priority, tokenCount) in [(1, Priority.normal, 5), (2, .low, 9), (4, .high, 3), (5, .high, 2)] {
            queue.insert(rank(UInt64(request), priority), tokenCount: tokenCount)
        }
        var steps: [[String]] = []
        for _ in 0..<3 {
            let chunks = queue.plan(tokenBudget: 14) { _, _ in .begins(computed: 0) }
            steps.append(summary(chunks))
            for chunk in chunks {
                let rank = [rank(1), rank(2, .low), rank(4, .high), rank(5, .high)].first { $0.request == chunk.request }
                if let rank { queue.advance(rank, to: chunk.range.upperBound) }
            }
        }
        #expect(steps == [["r4 0..<3 end", "r5 0..<2 end"], ["r1 0..<5 end"], ["r2 0..<9 end"]])
    }

    @Test func theLowestPriorityHasABudgetOfItsOwn() {
        var queue = PrefillQueue()
        queue.insert(rank(1, .low), tokenCount: 9)
        queue.insert(rank(2, .low), tokenCount: 9)
        queue.insert(rank(3), tokenCount: 20)
        let chunks = queue.plan(tokenBudget: 16, backgroundBudget: 12) { _, _ in .begins(computed: 0) }
        #expect(summary(chunks) == ["r3 0..<16"])
        queue.advance(rank(3), to: 16)
        queue.remove(rank(3))
        let background = queue.plan(tokenBudget: 16, backgroundBudget: 12) { _, _ in .begins(computed: 0) }
        #expect(summary(background) == ["r1 0..<9 end", "r2 0..<3"])
    }

    @Test func resumesWhereTheLastStepEnded() {
        var queue = PrefillQueue()
        queue.insert(rank(1), tokenCount: 10)
        var steps: [[String]] = []
        while !queue.isEmpty {
            let chunks = queue.plan(tokenBudget: 4) { _, _ in .begins(computed: 0) }
            steps.append(summary(chunks))
            for chunk in chunks { queue.advance(rank(1), to: chunk.range.upperBound) }
            queue.checkInvariants()
        }
        #expect(steps == [["r1 0..<4"], ["r1 4..<8"], ["r1 8..<10 end"]])
    }

    @Test func anUrgentPromptOvertakesALongOneBetweenTwoChunks() {
        var queue = PrefillQueue()
        queue.insert(rank(1), tokenCount: 100)
        #expect(summary(queue.plan(tokenBudget: 8) { _, _ in .begins(computed: 0) }) == ["r1 0..<8"])
        queue.advance(rank(1), to: 8)
        queue.insert(rank(2), tokenCount: 5)
        queue.insert(rank(3, .high), tokenCount: 5)
        let chunks = queue.plan(tokenBudget: 8) { _, _ in .begins(computed: 0) }
        #expect(summary(chunks) == ["r3 0..<5 end"])
        queue.checkInvariants()
    }

    @Test func aPromptWithoutRoomHoldsBackOnlyThoseThatHaveNotBegun() {
        var queue = PrefillQueue()
        queue.insert(rank(5), tokenCount: 8)
        #expect(summary(queue.plan(tokenBudget: 4) { _, _ in .begins(computed: 0) }) == ["r5 0..<4"])
        queue.advance(rank(5), to: 4)
        queue.insert(rank(1), tokenCount: 100)
        queue.insert(rank(6), tokenCount: 2)
        var asked: [RequestID] = []
        let chunks = queue.plan(tokenBudget: 50) { request, count in
            asked.append(request)
            return count < 100 ? .begins(computed: 0) : .noRoom
        }
        #expect(summary(chunks) == ["r5 4..<8 end"])
        #expect(asked == [RequestID(1)])
    }

    @Test func admissionIsAskedOnce() {
        var queue = PrefillQueue()
        queue.insert(rank(1), tokenCount: 9)
        _ = queue.plan(tokenBudget: 4) { _, _ in .begins(computed: 0) }
        queue.advance(rank(1), to: 4)
        let chunks = queue.plan(tokenBudget: 4) { _, _ in
            Issue.record("asked again")
            return .noRoom
        }
        #expect(summary(chunks) == ["r1 4..<8"])
    }

    @Test func aPromptThatWaitsForAnotherHoldsNobodyBack() {
        var queue = PrefillQueue()
        for request in 1...3 { queue.insert(rank(UInt64(request)), tokenCount: 6) }
        let first = queue.plan(tokenBudget: 9) { request, _ in request == RequestID(2) ? .later : .begins(computed: 0) }
        #expect(summary(first) == ["r1 0..<6 end", "r3 0..<3"])
        queue.advance(rank(1), to: 6)
        queue.advance(rank(3), to: 3)
        let next = queue.plan(tokenBudget: 9) { _, _ in .begins(computed: 4) }
        #expect(summary(next) == ["r2 4..<6 end", "r3 3..<6 end"])
        queue.checkInvariants()
    }

    @Test func removalLeavesTheOthers() {
        var queue = PrefillQueue()
        for request in 1...3 { queue.insert(rank(UInt64(request)), tokenCount: 2) }
        queue.remove(rank(2))
        queue.remove(rank(9))
        #expect(summary(queue.plan(tokenBudget: 9) { _, _ in .begins(computed: 0) }) == ["r1 0..<2 end", "r3 0..<2 end"])
    }
}
