import Generation
import Testing

@testable import ClusterCore

/// Prompts that begin alike, through a prefill and a decode role with fake KV: what is not computed and not sent again
/// gives the same answers.
@Suite struct PrefixSharingTests {
    private func sequence(
        _ request: UInt64, _ tokens: [TokenID], maxTokens: Int32 = 6, salt: String = "", group: GroupMembership? = nil
    ) -> SequenceOrder {
        var sequence = WorkerPair.sequence(request, maxTokens: maxTokens)
        sequence.tokens = tokens
        sequence.promptCount = tokens.count
        sequence.cacheSalt = salt
        sequence.group = group
        return sequence
    }

    private func serve(_ sequences: [SequenceOrder], on pair: WorkerPair) {
        for sequence in sequences { pair.submit(sequence, budget: 4) }
        #expect(pair.run { pair in pair.isAtRest && sequences.allSatisfy { pair.hasLeft($0.attempt) } })
        for sequence in sequences { #expect(pair.tokens(of: sequence) == WorkerPair.answer(to: sequence)) }
    }

    @Test(arguments: 1...13, [1, 4, 5, 8])
    func anotherPromptComputesAndSendsOnlyItsOwnPart(prefix: Int, rest: Int) {
        let pair = WorkerPair(cachesPrefixes: true)
        let stem = (0..<prefix).map { TokenID($0 + 7) }
        serve([sequence(1, stem + [100, 101, 102, 103, 104])], on: pair)
        let computed = pair.prefill.counters.tokens, sent = pair.prefill.counters.layerBlocks
        let second = stem + (0..<rest).map { TokenID($0 + 200) }
        serve([sequence(2, second)], on: pair)
        #expect(pair.prefill.counters.tokens - computed == UInt64(rest))
        let needed = (second.count + 3) / 4 - prefix / 4
        #expect(pair.prefill.counters.layerBlocks - sent == UInt64(3 * needed))
        #expect(pair.prefill.load.prefixCache.hitTokens == UInt64(prefix))
        #expect(pair.decode[0].load.prefixCache.heldBlocks == UInt64(prefix / 4))
    }

    /// A stem of everybody, beginnings of two groups, and in one of them a prompt that goes on with another.
    @Test func hitsAreCountedByLevel() {
        let pair = WorkerPair(blockCount: 128, cachesPrefixes: true)
        func tokens(_ first: Int, _ count: Int) -> [TokenID] { (first..<first + count).map { TokenID($0) } }
        let stem = tokens(10, 8), a = stem + tokens(100, 8), b = stem + tokens(200, 8), tail = tokens(300, 4)
        func hits(_ number: UInt64, _ prompt: [TokenID]) -> [UInt64] {
            let before = pair.prefill.load.prefixCache.hitLevels
            serve([sequence(number, prompt)], on: pair)
            let counters = pair.prefill.load.prefixCache
            #expect(counters.hitLevels.reduce(0, +) == counters.hitTokens)
            return zip(counters.hitLevels, before).map { $0 - $1 }
        }
        #expect(hits(1, a + tail + [1]) == [0, 0, 0])
        #expect(hits(2, b + tail + [1]) == [8, 0, 0], "nobody knew yet that there would be branches")
        #expect(hits(3, a + tokens(400, 4) + [1]) == [8, 8, 0])
        #expect(hits(4, a + tail + [2]) == [8, 8, 4])
        // Two tokens of a block that differs in the third.
        #expect(hits(5, stem + tokens(100, 2) + [5, 5, 5]) == [10, 0, 0])
    }

    @Test func theSamePromptAgainComputesOneToken() {
        for count in 1...9 {
            let pair = WorkerPair(cachesPrefixes: true)
            let prompt = (0..<count).map { TokenID($0 + 3) }
            serve([sequence(1, prompt)], on: pair)
            let computed = pair.prefill.counters.tokens
            serve([sequence(2, prompt)], on: pair)
            #expect(pair.prefill.counters.tokens - computed == 1)
        }
    }

    @Test func whatIsBeingComputedIsWaitedFor() {
        let pair = WorkerPair(blockCount: 128, cachesPrefixes: true)
        let stem = (0..<40).map { TokenID($0 + 3) }
        let members = (1...6).map { sequence(UInt64($0), stem + [TokenID(100 + $0), 9]) }
        serve(members, on: pair)
        #expect(pair.prefill.counters.tokens == 40 + 6 * 2)
    }

    @Test func noSaltSeesAnothersPrefix() {
        let pair = WorkerPair(cachesPrefixes: true)
        let prompt = (0..<20).map { TokenID($0 + 3) }
        serve([sequence(1, prompt, salt: "a")], on: pair)
        serve([sequence(2, prompt, salt: "b"), sequence(3, prompt)], on: pair)
        #expect(pair.prefill.load.prefixCache.hitTokens == 0 && pair.decode[0].load.prefixCache.heldBlocks == 0)
        serve([sequence(4, prompt, salt: "a")], on: pair)
        #expect(pair.prefill.load.prefixCache.hitTokens == 19 && pair.decode[0].load.prefixCache.heldBlocks == 5)
    }

    @Test func scoresOfAPromptAreComputedFromItsFirstToken() {
        let pair = WorkerPair(cachesPrefixes: true)
        var scored = sequence(2, (0..<20).map { TokenID($0 + 3) })
        serve([sequence(1, scored.tokens)], on: pair)
        scored.scoring = PromptScoring(top: 0, first: 6)
        #expect(scored.reusableCount == 5)
        scored.scoring = PromptScoring(top: 0)
        #expect(scored.reusableCount == 0)
    }

    @Test func aGroupsPrefixOutlivesEverythingUntilItIsReleased() {
        let pair = WorkerPair(blockCount: 40, cachesPrefixes: true)
        let stem = (0..<12).map { TokenID($0 + 3) }
        let group = GroupMembership(group: GroupID(5), prefixCount: 10)
        serve([sequence(1, stem + [90], group: group)], on: pair)
        #expect(pair.prefill.load.prefixCache.pinnedBlocks == 2 && pair.decode[0].load.prefixCache.pinnedBlocks == 2)
        for round in UInt64(2)...30 { serve([sequence(round, (0..<50).map { TokenID(round) * 100 + TokenID($0) })], on: pair) }
        let hits = pair.prefill.load.prefixCache.hitTokens
        serve([sequence(40, stem + [91], group: group)], on: pair)
        #expect(pair.prefill.load.prefixCache.hitTokens - hits >= 8)
        for message in [CoordinatorMessage.releaseGroup(GroupID(5))] {
            pair.tellPrefill(message)
            pair.tell(0, message)
        }
        #expect(pair.prefill.load.prefixCache.pinnedBlocks == 0 && pair.decode[0].load.prefixCache.pinnedBlocks == 0)
        #expect(pair.decode[0].load.prefixCache.prematureEvictions == 0)
    }

    @Test(arguments: 1...40)
    func answersAreExactOnABadNetworkAndUnderEviction(seed: Int) {
        let pair = WorkerPair(seed: UInt64(seed), blockCount: 16, maxModelLength: 48, cachesPrefixes: true)
        pair.faults = .init(loss: 0.1, duplication: 0.1, damage: 0.03, reordering: 6)
        var sequences = (1...8).map { request in
            sequence(UInt64(request), (0..<4 + 3 * (request % 4) + seed % 5).map { TokenID($0 / 6 * (request % 2) + 2) }, maxTokens: 14)
        }
        for sequence in sequences { pair.submit(sequence, budget: 3) }
        let isDone = pair.run { pair in
            for index in sequences.indices where pair.hasFailed(sequences[index].attempt) {
                pair.cancel(sequences[index])
                sequences[index].attempt = sequences[index].attempt.next
                pair.submit(sequences[index], budget: 3)
            }
            return pair.isAtRest && sequences.allSatisfy { pair.hasLeft($0.attempt) }
        }
        #expect(isDone)
        for sequence in sequences { #expect(pair.tokens(of: sequence) == WorkerPair.answer(to: sequence)) }
    }
}
