import Generation
import Testing

@testable import ClusterCore

/// Whole transfers between a prefill and a decode role.
@Suite struct WorkerPairTests {
    @Test func promptsTravelAndAreDecodedTogether() {
        let pair = WorkerPair()
        let sequences = (1...6).map {
            WorkerPair.sequence(UInt64($0), promptCount: 3 + 7 * $0, maxTokens: Int32(2 + $0))
        }
        for sequence in sequences { pair.submit(sequence, budget: 4) }
        #expect(pair.run { $0.isAtRest && $0.reports.count > 6 })
        for sequence in sequences {
            #expect(pair.tokens(of: sequence) == WorkerPair.answer(to: sequence))
            #expect(pair.has(.prefillStarted(sequence.attempt)) && pair.has(.kvWhole(sequence.attempt)))
            #expect(pair.has(.transferFinished(sequence.attempt)))
        }
        #expect(pair.decode[0].counters.batch.embeds == 6 && pair.decode[0].counters.refetches == 0)
        #expect(pair.decode[0].counters.layerBlocks == pair.prefill.counters.layerBlocks)
        let transfers = pair.decode[0].load.transfers
        #expect(transfers.buckets.reduce(0, +) == 6 && transfers.time > .zero)
        #expect(transfers.bytes == pair.decode[0].counters.layerBlocks * UInt64(WorkerPair.geometry.bytesPerLayerBlock))
    }

    @Test func transfersAreCountedByTheirDuration() {
        var counters = TransferCounters()
        for microseconds in [0, 500, 501, 40_000_000] as [Int64] { counters.noteWhole(after: .microseconds(microseconds)) }
        #expect(counters.buckets == [2, 1] + Array(repeating: 0, count: TransferCounters.bounds.count - 2) + [1])
        #expect(counters.time == .microseconds(40_001_001))
        #expect(TransferCounters.bounds == TransferCounters.bounds.sorted())
    }

    /// Retried like the coordinator would: whatever fails is given to the workers again as the next attempt. In
    /// the small pool some of it is refused or evicted as well.
    @Test(arguments: 1...40, [14, 64])
    func answersAreExactOnABadNetwork(seed: Int, blockCount: Int) {
        let pair = WorkerPair(seed: UInt64(seed), blockCount: blockCount, maxModelLength: 48)
        pair.faults = .init(loss: 0.1, duplication: 0.1, damage: 0.03, reordering: 6)
        var sequences = (1...5).map { WorkerPair.sequence(UInt64($0), promptCount: 5 * $0, maxTokens: 18) }
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

    @Test func lostLayerBlocksAreFetchedAgainAlthoughTheyCostCredit() {
        let pair = WorkerPair(creditWindow: 4)
        let sequence = WorkerPair.sequence(1, promptCount: 40)
        pair.submit(sequence)
        pair.run { $0.decode[0].counters.layerBlocks > 8 }
        pair.faults.losesBlocks = true
        for _ in 0..<100 { pair.turn() }
        pair.faults.losesBlocks = false
        #expect(pair.run { $0.isAtRest && $0.hasLeft(sequence.attempt) })
        #expect(pair.tokens(of: sequence) == WorkerPair.answer(to: sequence))
        #expect(pair.decode[0].counters.refetches > 0)
    }

    @Test func aQueryWaitsInTheQueueLongerThanADeadline() {
        let pair = WorkerPair()
        // Nobody computes: the engine of the prefill worker is kept busy by not turning it.
        let sequence = WorkerPair.sequence(1)
        pair.submit(sequence)
        pair.isComputing = false
        for _ in 0..<10_000 { pair.turn() }
        pair.isComputing = true
        #expect(pair.run { $0.isAtRest && $0.hasLeft(sequence.attempt) })
        #expect(!pair.hasFailed(sequence.attempt))
    }

    @Test func aFirstTokenThatEndsTheAnswerSendsNothingMore() {
        let pair = WorkerPair()
        let sequence = WorkerPair.sequence(1, maxTokens: 1)
        // The decode side would refuse a commit; the coordinator grants nothing for it to miss.
        pair.submit(sequence)
        #expect(pair.run { $0.isAtRest && !$0.reports.isEmpty })
        #expect(pair.tokens(of: sequence) == WorkerPair.answer(to: sequence))
        #expect(!pair.has(.kvWhole(sequence.attempt)) && !pair.hasFailed(sequence.attempt))
    }

    @Test func aCancelInAnyPhaseFreesEverything() {
        for turns in 0..<80 {
            let pair = WorkerPair()
            let sequence = WorkerPair.sequence(1, promptCount: 30, maxTokens: 20)
            pair.submit(sequence, budget: 12)
            for _ in 0..<turns { pair.turn() }
            pair.cancel(sequence)
            #expect(pair.run(turns: 20) { $0.isAtRest }, "cancelled after \(turns) turns")
            #expect(pair.decode[0].timeOfNextWakeUp == nil && pair.prefill.timeOfNextWakeUp == nil)
        }
    }

    @Test func aLostDecodeWorkerIsReplacedWithoutANewPrefill() {
        for turns in [0, 2, 5, 9, 12] {
            let pair = WorkerPair(decodeWorkers: 2)
            var sequence = WorkerPair.sequence(1, promptCount: 40, maxTokens: 20)
            pair.submit(sequence)
            for _ in 0..<turns { pair.turn() }
            pair.isAlive[0] = false
            let old = sequence.attempt
            sequence.attempt = old.next
            pair.tell(1, .grant(Grant(sequence: sequence, budget: 0)))
            pair.tellPrefill(.retarget(from: old, to: sequence.attempt, WorkerPair.destination(1)))
            #expect(pair.run { $0.isAtRest && $0.hasLeft(sequence.attempt) })
            #expect(pair.tokens(of: sequence) == WorkerPair.answer(to: sequence))
            #expect(pair.prefill.counters.tokens == 40 && pair.prefill.counters.retargets == 1)
        }
    }

    @Test func whatIsNotHeldAnyMoreCannotBeRetargeted() {
        let pair = WorkerPair()
        let sequence = WorkerPair.sequence(1)
        pair.submit(sequence)
        pair.run { $0.has(.transferFinished(sequence.attempt)) }
        let next = sequence.attempt.next
        pair.tellPrefill(.retarget(from: sequence.attempt, to: next, WorkerPair.destination()))
        #expect(pair.has(.prefillFailed(next, .refused("r1.1 is not held"))))
    }

    @Test func withoutAReceiverTheTransferIsGivenUp() {
        let pair = WorkerPair()
        let sequence = WorkerPair.sequence(1)
        pair.isAlive[0] = false
        pair.submit(sequence)
        #expect(pair.run { $0.has(.prefillFailed(sequence.attempt, .transferLost)) })
        #expect(pair.run(turns: 5) { $0.prefill.load.referencedBlocks == 0 })
        #expect(pair.now >= Instant(nanoseconds: 3_000_000_000))
    }

    @Test func whenThePoolRunsOutTheLowestRankGivesWay() {
        let pair = WorkerPair(blockCount: 12, maxModelLength: 48)
        let sequences = (1...3).map {
            WorkerPair.sequence(UInt64($0), promptCount: 14, maxTokens: 24, priority: $0 == 1 ? .low : .normal)
        }
        for sequence in sequences { pair.submit(sequence) }
        #expect(pair.run { $0.isAtRest && $0.hasLeft(sequences[1].attempt) })
        #expect(pair.has(.decodeFailed(sequences[0].attempt, .evicted)))
        #expect(pair.tokens(of: sequences[1]) == WorkerPair.answer(to: sequences[1]))
        #expect(pair.decode[0].counters.evictions >= 1)
    }

    @Test func aReservedBudgetIsNotFreeForOthers() {
        let pair = WorkerPair(blockCount: 12, maxModelLength: 48)
        let first = WorkerPair.sequence(1, promptCount: 8, maxTokens: 24)
        pair.submit(first, budget: 8)
        // Has the other four blocks, needs a fifth for its second token, and ranks lower.
        let second = WorkerPair.sequence(2, promptCount: 16, maxTokens: 3)
        pair.submit(second)
        // It does not take what is set aside, nor lose its KV: it waits.
        #expect(pair.run { $0.isAtRest && $0.hasLeft(second.attempt) })
        for sequence in [first, second] { #expect(pair.tokens(of: sequence) == WorkerPair.answer(to: sequence)) }
        #expect(pair.decode[0].counters.evictions == 0)
        // Nothing is reserved any more: a query that needs the whole pool fits.
        let whole = WorkerPair.sequence(3, promptCount: 40, maxTokens: 8)
        pair.submit(whole, budget: 12)
        #expect(pair.run { $0.isAtRest && $0.hasLeft(whole.attempt) })
    }
}

extension WorkerPair {
    func hasFailed(_ attempt: AttemptID) -> Bool {
        reports.contains {
            switch $0 {
            case .prefillFailed(attempt, _), .decodeFailed(attempt, _): true
            default: false
            }
        }
    }

    func hasLeft(_ attempt: AttemptID) -> Bool {
        reports.contains { if case .left(attempt, _) = $0 { true } else { false } }
    }
}
