import ClusterCore
import Generation
import Testing

@testable import ClusterCore

/// One prompt, several choices: on a pair of workers and on a mixed one.
@Suite struct ForkTests {
    /// A prompt and its choices, which are requests `request + 1 ...` to the workers.
    private func family(
        _ request: UInt64, choices: Int, promptCount: Int = 10, maxTokens: Int32 = 6
    ) -> (prompt: SequenceOrder, choices: [SequenceOrder]) {
        var prompt = WorkerPair.sequence(request, promptCount: promptCount, maxTokens: maxTokens)
        prompt.forks = (0..<choices).map {
            Fork(attempt: AttemptID(request: RequestID(request + 1 + UInt64($0)), ordinal: 1), choice: UInt32($0))
        }
        let choices = prompt.forks.map { fork in
            var choice = prompt
            (choice.attempt, choice.sampling.choice, choice.forks) = (fork.attempt, fork.choice, [])
            return choice
        }
        return (prompt, choices)
    }

    @Test(arguments: [BatchLayout.blockTables, .dense], [1, 3, 4, 7])
    func eachChoiceAnswersAsItWouldAlone(layout: BatchLayout, promptCount: Int) {
        let pair = WorkerPair(maxSequences: 4, layout: layout)
        let family = family(1, choices: 3, promptCount: promptCount, maxTokens: 9)
        pair.submit(family.prompt, budget: 20)
        #expect(pair.run { $0.isAtRest && !$0.reports.isEmpty && $0.tokens(of: family.choices[2]).count == 9 })
        for choice in family.choices { #expect(pair.tokens(of: choice) == WorkerPair.answer(to: choice)) }
        #expect(Set(family.choices.map { pair.tokens(of: $0) }).count == 3)
        #expect(pair.prefill.counters.tokens == UInt64(promptCount))
        #expect(pair.isAtRest)
    }

    @Test func fullBlocksOfThePromptAreHeldOnce() throws {
        let pair = WorkerPair(maxSequences: 8)
        let family = family(1, choices: 5, promptCount: 18, maxTokens: 20)
        pair.submit(family.prompt)
        #expect(pair.run { $0.decode[0].load.rows == 5 })
        for _ in 0..<2 { pair.turn() }
        // 18 tokens fill 4 blocks of four; what follows is each choice's own.
        #expect(pair.decode[0].load.referencedBlocks == 4 + 5)
        #expect(pair.run { $0.isAtRest })
    }

    @Test func choicesThatEndWithTheirFirstTokenBecomeNoRows() {
        let pair = WorkerPair()
        var family = family(1, choices: 3)
        family.prompt.stop.endTokens = [WorkerPair.answer(to: family.choices[1])[0]]
        pair.submit(family.prompt)
        #expect(pair.run { $0.isAtRest && $0.tokens(of: family.choices[2]).count == 6 })
        #expect(pair.tokens(of: family.choices[1]).count == 1)
        #expect(pair.tokens(of: family.choices[0]) == WorkerPair.answer(to: family.choices[0]))
    }

    @Test func noKVTravelsIfAllChoicesEndAtOnce() {
        let pair = WorkerPair()
        let family = family(1, choices: 2, maxTokens: 1)
        pair.tellPrefill(.prefill(PrefillOrder(sequence: family.prompt, destination: nil)))
        #expect(pair.run { $0.isAtRest && $0.tokens(of: family.choices[1]).count == 1 })
        #expect(pair.prefill.counters.layerBlocks == 0)
    }

    @Test func aChoiceCancelledBeforeTheForkNeverStarts() {
        let pair = WorkerPair()
        let family = family(1, choices: 2)
        pair.tell(0, .grant(Grant(sequence: family.prompt, budget: 0)))
        pair.tell(0, .cancel(family.choices[0].attempt))
        pair.tellPrefill(.prefill(PrefillOrder(sequence: family.prompt, destination: WorkerPair.destination())))
        #expect(pair.run { $0.isAtRest && $0.tokens(of: family.choices[1]).count == 6 })
        #expect(pair.tokens(of: family.choices[0]).count == 1)
    }

    @Test func oneChoiceLeavesAndTheOthersGoOn() {
        let pair = WorkerPair()
        let family = family(1, choices: 3, maxTokens: 12)
        pair.submit(family.prompt)
        #expect(pair.run { $0.tokens(of: family.choices[1]).count == 4 })
        pair.tell(0, .cancel(family.choices[1].attempt))
        #expect(pair.run { $0.isAtRest && $0.tokens(of: family.choices[2]).count == 12 })
        #expect(pair.tokens(of: family.choices[0]) == WorkerPair.answer(to: family.choices[0]))
        #expect(pair.tokens(of: family.choices[2]) == WorkerPair.answer(to: family.choices[2]))
    }

    @Test(arguments: [4, 64]) func aMixedWorkerForksWhereItIs(tokenBudget: Int) {
        let worker = MixedWorkerAlone(tokenBudget: tokenBudget)
        let family = family(1, choices: 4, promptCount: 11, maxTokens: 7)
        worker.submit(family.prompt)
        worker.submit(WorkerPair.sequence(20))
        worker.run()
        for choice in family.choices { #expect(worker.tokens(of: choice) == WorkerPair.answer(to: choice)) }
        #expect(worker.role.load.work.prefillTokens == 11 + 10)
        #expect(worker.role.load.referencedBlocks == 0)
    }

    /// Whatever goes through the network, and however small the pool.
    @Test(arguments: 1...20) func faultsChangeNothing(seed: UInt64) {
        let pair = WorkerPair(seed: seed, blockCount: 40, maxSequences: 3)
        pair.faults = WorkerPair.Faults(loss: 0.1, losesBlocks: true, duplication: 0.1, damage: 0.02, reordering: 4)
        let families = [family(1, choices: 4, maxTokens: 8), family(10, choices: 2, promptCount: 17)]
        for family in families { pair.submit(family.prompt, budget: 12) }
        let choices = families.flatMap(\.choices)
        let ended = pair.run { pair in
            choices.allSatisfy { choice in
                pair.tokens(of: choice).count == Int(choice.stop.maxTokens)
                    || pair.has(.decodeFailed(choice.attempt, .evicted))
            } || pair.reports.contains { if case .decodeFailed = $0 { true } else { false } }
        }
        #expect(ended)
        for choice in choices {
            let tokens = pair.tokens(of: choice)
            #expect(tokens == Array(WorkerPair.answer(to: choice).prefix(tokens.count)))
        }
    }

    // MARK: Scores

    @Test func aPromptIsScoredChunkByChunkAndSaysWhenItEnds() throws {
        var role = PrefillRole(.init(
            clusterEpoch: WorkerPair.epoch, workerEpoch: WorkerEpoch(1), modelHash: "m", geometry: WorkerPair.geometry,
            blockCount: 64, maxSequences: 8, maxBatchedTokens: 4, maxModelLength: 128))
        var order = WorkerPair.sequence(1, promptCount: 9, maxTokens: 0)
        order.scoring = PromptScoring(top: 2, first: 3)
        let now = Instant(nanoseconds: 0)
        _ = role.handle(.message(.prefill(PrefillOrder(sequence: order, destination: nil))), at: now)
        var scored: [Int] = [], reports: [WorkerMessage] = []
        while let step = role.nextStep(at: now).step {
            let scores = step.chunks.compactMap { chunk in
                chunk.scoring.map { scoring in
                    #expect(Array(scoring.targets) == Array(order.tokens[scoring.first..<scoring.first + scoring.targets.count]))
                    scored += scoring.first..<scoring.first + scoring.targets.count
                    return ChunkScores(
                        attempt: chunk.attempt,
                        scores: .success(scoring.targets.map { TokenLogprobs(logprob: -Float($0)) }))
                }
            }
            #expect(step.chunks.allSatisfy { $0.samples.isEmpty })
            for action in role.handle(.stepFinished([], scores: scores), at: now) {
                if case .report(let report) = action { reports.append(report) }
            }
        }
        #expect(scored == Array(3..<9))
        let told = reports.compactMap { if case .promptScored(_, let scores) = $0 { scores } else { nil } }
        #expect(told.map(\.first) == [3, 5, 8 + 1])
        #expect(told.flatMap(\.tokens).count == 6)
        #expect(role.load == WorkerLoad(work: role.load.work))
    }

    @Test func anOrderWithoutDestinationMustEndWithThePrefill() {
        let pair = WorkerPair()
        let sequence = WorkerPair.sequence(1, maxTokens: 2)
        pair.tellPrefill(.prefill(PrefillOrder(sequence: sequence, destination: nil)))
        #expect(pair.reports.contains {
            if case .prefillFailed(sequence.attempt, .computation) = $0 { true } else { false }
        })
    }
}
