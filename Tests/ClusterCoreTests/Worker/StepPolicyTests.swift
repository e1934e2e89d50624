@testable import ClusterCore
import Generation
import Testing

/// What a step contains under each policy, and what is computed for nothing, counted by hand.
@Suite struct StepPolicyTests {
    static let policies: [Scheduling] = Scheduling.allCases.filter { $0.role == .mixed }

    /// A role and the time it lives in; every step takes 10 ms, every sample is token 7.
    private struct Worker {
        var role: MixedRole
        var now = Instant(nanoseconds: 0)

        init(_ scheduling: Scheduling, maxSequences: Int = 3, blockCount: Int = 64) {
            role = MixedWorkerAlone.role(
                blockCount: blockCount, tokenBudget: 4, maxSequences: maxSequences, scheduling: scheduling,
                parking: ParkingLot.Limits(memory: 1 << 20))
        }

        mutating func grant(_ request: UInt64, promptCount: Int, maxTokens: Int32, _ priority: Priority = .normal) {
            let sequence = WorkerPair.sequence(request, promptCount: promptCount, maxTokens: maxTokens, priority: priority)
            _ = role.handle(.message(.grant(Grant(sequence: sequence, budget: 0))), at: now)
        }

        mutating func cancel(_ request: UInt64) {
            _ = role.handle(.message(.cancel(AttemptID(request: RequestID(request), ordinal: 1))), at: now)
        }

        /// Tokens of each row and prompt, `[rows, prompts…]`, and the lengths of padding; `nil` when there is nothing to do.
        mutating func step() -> Shape? {
            guard let step = role.nextStep(at: now).step else { return nil }
            now = now + .milliseconds(10)
            let samples = MixedWorkerAlone.samples(of: step) { _ in 7 }
            _ = role.handle(.stepFinished(samples), at: now)
            role.checkInvariants()
            return Shape(
                rows: step.rows.count, prompts: step.chunks.map(\.tokens.count), padding: step.padding.map(\.count))
        }
    }

    private struct Shape: Equatable {
        var rows: Int
        var prompts: [Int] = []
        var padding: [Int] = []
    }

    private func expect(_ work: WorkCounters, tokens: UInt64, decoded: UInt64, idle: IdleCounters) {
        #expect(work.prefillTokens == tokens && work.decodeTokens == decoded && work.idle == idle)
        #expect(work.tokenRows == tokens + decoded + idle.total)
    }

    /// A prompt of 6 tokens, then prompts of 5 and 9 while it is decoded: answers of 4, 3 and 3 tokens.
    private func script(_ worker: inout Worker) -> [Shape] {
        worker.grant(1, promptCount: 6, maxTokens: 4)
        var shapes: [Shape] = []
        if worker.role.configuration.scheduling == .static { worker.now = worker.now + .milliseconds(20) }
        shapes += worker.step().map { [$0] } ?? []
        shapes += worker.step().map { [$0] } ?? []
        worker.grant(2, promptCount: 5, maxTokens: 3)
        worker.grant(3, promptCount: 9, maxTokens: 3)
        while let shape = worker.step() { shapes.append(shape) }
        return shapes
    }

    @Test func orcaComputesWholePromptsBesideTheRows() {
        var worker = Worker(.orca)
        #expect(script(&worker) == [
            Shape(rows: 0, prompts: [6]), Shape(rows: 1), Shape(rows: 1, prompts: [5, 9]), Shape(rows: 3), Shape(rows: 2),
        ])
        expect(worker.role.load.work, tokens: 20, decoded: 7, idle: IdleCounters())
        #expect(worker.role.load.work.sharedSteps == 1 && worker.role.load.work.batch.stall == .zero)
    }

    @Test func orcaTakesOnlyPromptsThatFindARow() {
        var worker = Worker(.orca, maxSequences: 2)
        for number in 1...4 { worker.grant(UInt64(number), promptCount: 10 + number, maxTokens: 3) }
        #expect(worker.step() == Shape(rows: 0, prompts: [11, 12]))
        #expect(worker.step() == Shape(rows: 2))
        #expect(worker.step() == Shape(rows: 2))
        #expect(worker.step() == Shape(rows: 0, prompts: [13, 14]))
    }

    /// Both rows are taken by others, the less urgent of which gives its own at the boundary at which the prompt is whole.
    @Test(arguments: [Scheduling.orca, .orcaPadded, .mixed]) func anUrgentPromptTakesTheRowOfALesserQuery(scheduling: Scheduling) {
        var worker = Worker(scheduling, maxSequences: 2)
        worker.grant(1, promptCount: 2, maxTokens: 9, .low)
        worker.grant(2, promptCount: 2, maxTokens: 9)
        if scheduling == .mixed {
            // No chunk of lesser priority delays a first token.
            #expect(worker.step() == Shape(rows: 0, prompts: [2]))
            #expect(worker.step() == Shape(rows: 1, prompts: [2]))
        } else {
            #expect(worker.step() == Shape(rows: 0, prompts: [2, 2]))
        }
        #expect(worker.step() == Shape(rows: 2))
        worker.grant(3, promptCount: 2, maxTokens: 3)
        worker.grant(4, promptCount: 2, maxTokens: 3, .high)
        switch scheduling {
        case .orca: #expect(worker.step() == Shape(rows: 2, prompts: [2]))
        case .orcaPadded: #expect(worker.step() == Shape(rows: 0, prompts: [2], padding: [2, 2]))
        default: #expect(worker.step() == Shape(rows: 2, prompts: [2]))
        }
        #expect(worker.role.load.rows == 2)
        let step = worker.role.nextStep(at: worker.now)
        #expect(step.step?.rows.map(\.attempt.request.rawValue) == [2, 4])
        #expect(step.actions.contains { if case .park(let kv) = $0 { kv.attempt.request == RequestID(1) } else { false } })
    }

    /// Equals wait for a free row, and in front of a batch that runs to completion everybody does.
    @Test(arguments: [(Scheduling.orca, Priority.low), (.orcaPadded, .low), (.static, .high)])
    func otherPromptsWaitForARow(scheduling: Scheduling, priority: Priority) {
        var worker = Worker(scheduling, maxSequences: 2)
        for number in 1...2 { worker.grant(UInt64(number), promptCount: 2, maxTokens: 4, .low) }
        #expect(worker.step() == Shape(rows: 0, prompts: [2, 2]))
        worker.grant(3, promptCount: 2, maxTokens: 3, priority)
        for _ in 0..<3 { #expect(worker.step() == Shape(rows: 2)) }
        worker.now = worker.now + .milliseconds(20)
        if scheduling == .static { _ = worker.role.nextStep(at: worker.now) }
        worker.now = worker.now + .milliseconds(20)
        #expect(worker.step() == Shape(rows: 0, prompts: [2]))
    }

    /// Without blocks for it, an urgent query waits for a batch that runs to completion, too.
    @Test func aStaticBatchKeepsItsBlocks() {
        var worker = Worker(.static, maxSequences: 2, blockCount: 16)
        for number in 1...2 { worker.grant(UInt64(number), promptCount: 28, maxTokens: 4, .low) }
        #expect(worker.step() == Shape(rows: 0, prompts: [28, 28]))
        worker.grant(3, promptCount: 28, maxTokens: 3, .high)
        for _ in 0..<3 { #expect(worker.step() == Shape(rows: 2)) }
        #expect(worker.role.load.parking.parks == 0)
        #expect(worker.step() == nil)
        worker.now = worker.now + .milliseconds(20)
        #expect(worker.step() == Shape(rows: 0, prompts: [28]))
    }

    /// Prompts of 5 and 9 make a tensor [3, 9]: 9 rows of the query that waits, 4 behind the shorter prompt.
    @Test func thePapersOrcaPadsTheRowsThatWait() {
        var worker = Worker(.orcaPadded)
        #expect(script(&worker) == [
            Shape(rows: 0, prompts: [6]), Shape(rows: 1), Shape(rows: 0, prompts: [5, 9], padding: [4, 9]), Shape(rows: 3),
            Shape(rows: 3),
        ])
        expect(worker.role.load.work, tokens: 20, decoded: 7, idle: IdleCounters(padding: 4, waitingRows: 9))
        // One row waited for one step of 10 ms.
        #expect(worker.role.load.work.batch.stall == .milliseconds(10))
        #expect(worker.role.load.work.idleRatio == 13.0 / 40)
    }

    /// Queries that have not entered their rows when the next prompt comes wait like those that have.
    @Test func thePapersOrcaLetsNewQueriesWaitToo() {
        var worker = Worker(.orcaPadded)
        worker.grant(1, promptCount: 6, maxTokens: 4)
        #expect(worker.step() == Shape(rows: 0, prompts: [6]))
        worker.grant(2, promptCount: 2, maxTokens: 4)
        #expect(worker.step() == Shape(rows: 0, prompts: [2], padding: [2]))
        #expect(worker.step() == Shape(rows: 2))
        #expect(worker.role.load.work.idle == IdleCounters(waitingRows: 2))
    }

    @Test func aStaticBatchRunsToCompletion() {
        var worker = Worker(.static)
        worker.grant(1, promptCount: 6, maxTokens: 2)
        worker.grant(2, promptCount: 3, maxTokens: 5)
        #expect(worker.step() == nil, "another query may still come")
        #expect(worker.role.timeOfNextWakeUp == worker.now + .milliseconds(20))
        worker.grant(3, promptCount: 6, maxTokens: 3)
        #expect(worker.step() == Shape(rows: 0, prompts: [6, 3, 6], padding: [3]))
        #expect(worker.step() == Shape(rows: 3))
        worker.grant(4, promptCount: 2, maxTokens: 2)
        #expect(worker.step() == Shape(rows: 2, padding: [1]))
        #expect(worker.step() == Shape(rows: 1, padding: [1, 1]))
        #expect(worker.step() == Shape(rows: 1, padding: [1, 1]))
        expect(worker.role.load.work, tokens: 15, decoded: 7, idle: IdleCounters(padding: 3, finishedRows: 5))
        #expect(worker.role.load.work.batch.stall == .zero)

        #expect(worker.step() == nil)
        worker.now = worker.now + .milliseconds(20)
        #expect(worker.step() == Shape(rows: 0, prompts: [2]))
        #expect(worker.step() == Shape(rows: 1))
        #expect(worker.step() == nil && worker.role.timeOfNextWakeUp == nil)
    }

    @Test func aStaticBatchWaitsSinceTheLatestArrival() {
        var worker = Worker(.static)
        worker.grant(1, promptCount: 6, maxTokens: 2)
        #expect(worker.step() == nil)
        worker.now = worker.now + .milliseconds(19)
        worker.grant(2, promptCount: 6, maxTokens: 2)
        #expect(worker.step() == nil)
        worker.now = worker.now + .milliseconds(19)
        #expect(worker.step() == nil)
        worker.now = worker.now + .milliseconds(1)
        #expect(worker.step() == Shape(rows: 0, prompts: [6, 6]))
    }

    @Test func rowsThatAreCancelledAreComputedToTheEndOfTheirBatch() {
        var worker = Worker(.static, maxSequences: 2)
        worker.grant(1, promptCount: 4, maxTokens: 4)
        worker.grant(2, promptCount: 4, maxTokens: 4)
        #expect(worker.step() == Shape(rows: 0, prompts: [4, 4]))
        worker.cancel(2)
        #expect(worker.step() == Shape(rows: 1, padding: [1]))
        worker.cancel(1)
        #expect(worker.step() == nil)
        #expect(worker.role.load.referencedBlocks == 0)
    }

    /// Finished rows are computed where the longest row is.
    @Test func finishedRowsAreAsLongAsTheLongest() throws {
        var worker = Worker(.static, maxSequences: 2)
        worker.grant(1, promptCount: 4, maxTokens: 2)
        worker.grant(2, promptCount: 9, maxTokens: 4)
        _ = worker.step()
        _ = worker.step()
        let step = try #require(worker.role.nextStep(at: worker.now).step)
        #expect(step.rows.map(\.position) == [10])
        #expect(step.padding == [MixedStep.Padding(start: 10, count: 1)])
    }

    /// The shell says what a boundary took; it counts if a query entered, and the rows before it have stalled for so long.
    @Test func insertionsAreCharged() {
        var worker = Worker(.orca)
        func boundary(_ microseconds: Int64) {
            let step = worker.role.nextStep(at: worker.now).step
            worker.role.noteBoundary(took: .microseconds(microseconds))
            guard let step else { return }
            _ = worker.role.handle(.stepFinished(MixedWorkerAlone.samples(of: step) { _ in 7 }), at: worker.now)
        }
        worker.grant(1, promptCount: 6, maxTokens: 9)
        boundary(3)
        boundary(50)
        var batch = worker.role.load.work.batch
        #expect(batch.shapings == 1 && batch.shapingTime == .microseconds(50) && batch.stall == .zero)
        worker.grant(2, promptCount: 6, maxTokens: 9)
        worker.grant(3, promptCount: 6, maxTokens: 9)
        boundary(3)
        boundary(70)
        boundary(3)
        batch = worker.role.load.work.batch
        #expect(batch.shapings == 2 && batch.shapingTime == .microseconds(120) && batch.stall == .microseconds(70))
        // Two more rows, between whose prompt and first token the engine took no time.
        #expect(batch.firstTokens == 3 && batch.firstTokenDelay == .zero && batch.waits == 0)
    }

    /// Only the ends of steps at which rows left count.
    @Test func removalsAreCharged() {
        var worker = Worker(.orca)
        func end(_ microseconds: Int64) {
            guard let step = worker.role.nextStep(at: worker.now).step else { return }
            _ = worker.role.handle(.stepFinished(MixedWorkerAlone.samples(of: step) { _ in 7 }), at: worker.now)
            worker.role.noteEnd(took: .microseconds(microseconds))
        }
        worker.grant(1, promptCount: 6, maxTokens: 3)
        worker.grant(2, promptCount: 6, maxTokens: 4)
        for microseconds in [1, 2, 30, 400, 5000] { end(Int64(microseconds)) }
        let batch = worker.role.load.work.batch
        #expect(batch.removals == 2 && batch.removalEnds == 2 && batch.removalTime == .microseconds(430))
    }

    @Test(arguments: policies, 1...6) func answersDoNotDependOnThePolicy(scheduling: Scheduling, seed: UInt64) {
        let worker = MixedWorkerAlone(
            blockCount: 90, tokenBudget: 8, maxSequences: 1 + Int(seed) % 4, scheduling: scheduling)
        let sequences = (1...14).map { number in
            let spread = Int(seed) * number
            return WorkerPair.sequence(
                UInt64(number), promptCount: 1 + spread * 7 % 30, maxTokens: Int32(1 + spread % 11))
        }
        for (turn, sequence) in sequences.enumerated() {
            worker.submit(sequence)
            for _ in 0..<(turn * Int(seed)) % 6 { worker.turn() }
        }
        worker.run()
        for sequence in sequences { #expect(worker.tokens(of: sequence) == WorkerPair.answer(to: sequence)) }
        let work = worker.role.load.work
        #expect(worker.role.load == WorkerLoad(iterationTime: worker.role.load.iterationTime, work: work))
        #expect(work.prefillTokens == UInt64(sequences.reduce(0) { $0 + $1.tokens.count }))
        #expect(work.decodeTokens == UInt64(sequences.reduce(0) { $0 + Int($1.stop.maxTokens) - 1 }))
        let inBatch = sequences.filter { $0.stop.maxTokens > 1 }.count
        #expect(work.batch.embeds == UInt64(inBatch) && work.batch.removals == UInt64(inBatch))
        #expect(work.batch.firstTokens == UInt64(inBatch))
        if scheduling == .mixed || scheduling == .orca { #expect(work.idle.total == 0) }
    }
}
