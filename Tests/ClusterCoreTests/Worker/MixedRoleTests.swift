import ClusterCore
import Generation
import Testing

@Suite struct MixedRoleTests {
    private let start = Instant(nanoseconds: 0)

    private func grant(_ role: inout MixedRole, _ sequence: SequenceOrder, budget: Int = 0) -> [MixedRole.Action] {
        role.handle(.message(.grant(Grant(sequence: sequence, budget: budget))), at: start)
    }

    /// The next step, run with token 7 for everybody.
    private func step(_ role: inout MixedRole) throws -> (step: MixedStep, reports: [WorkerMessage]) {
        let (planned, before) = role.nextStep(at: start)
        let step = try #require(planned)
        let after = role.handle(.stepFinished(MixedWorkerAlone.samples(of: step) { _ in 7 }), at: start)
        role.checkInvariants()
        return (step, reports(before + after))
    }

    private func reports(_ actions: [MixedRole.Action]) -> [WorkerMessage] {
        actions.compactMap { if case .report(let report) = $0 { report } else { nil } }
    }

    @Test(arguments: [4, 8, 64]) func answersDoNotDependOnTheBudget(tokenBudget: Int) {
        let worker = MixedWorkerAlone(tokenBudget: tokenBudget)
        let sequences = (1...12).map { number in
            WorkerPair.sequence(
                UInt64(number), promptCount: 1 + number * 7 % 30, maxTokens: Int32(1 + number % 9),
                priority: number % 3 == 0 ? .high : .normal)
        }
        for (turn, sequence) in sequences.enumerated() {
            worker.submit(sequence)
            for _ in 0..<turn % 4 { worker.turn() }
        }
        worker.run()
        for sequence in sequences { #expect(worker.tokens(of: sequence) == WorkerPair.answer(to: sequence)) }
        #expect(worker.role.load
            == WorkerLoad(iterationTime: worker.role.load.iterationTime, work: worker.role.load.work))
        #expect(worker.role.load.work.sharedSteps > 0)
        #expect(worker.role.load.work.prefillTokens == UInt64(sequences.reduce(0) { $0 + $1.tokens.count }))
        #expect(worker.role.load.work.decodeTokens == UInt64(sequences.reduce(0) { $0 + Int($1.stop.maxTokens) - 1 }))
    }

    @Test func rowsComeFirstAndChunksTakeTheRest() throws {
        var role = MixedWorkerAlone.role(tokenBudget: 4, maxSequences: 2)
        _ = grant(&role, WorkerPair.sequence(1, promptCount: 3))
        let first = try step(&role)
        #expect(first.step.rows.isEmpty && first.step.chunks.map(\.tokens.count) == [3])
        _ = grant(&role, WorkerPair.sequence(2, promptCount: 10))
        var sizes: [[Int]] = []
        for _ in 0..<5 {
            let step = try step(&role).step
            sizes.append([step.rows.count] + step.chunks.map(\.tokens.count))
        }
        #expect(sizes == [[1, 3], [1, 3], [1, 3], [1, 1], [2]])
        let work = role.load.work
        #expect((work.steps, work.sharedSteps) == (6, 4))
        #expect((work.prefillTokens, work.decodeTokens, work.idle.total) == (13, 6, 0))
    }

    @Test func aHigherPriorityIsComputedFirst() throws {
        var role = MixedWorkerAlone.role(tokenBudget: 6)
        _ = grant(&role, WorkerPair.sequence(1, promptCount: 9))
        _ = grant(&role, WorkerPair.sequence(2, promptCount: 4, priority: .high))
        let urgent = try step(&role).step
        #expect(urgent.chunks.map(\.attempt.request.rawValue) == [2] && urgent.chunks.map(\.tokens.count) == [4])
        let next = try step(&role).step
        #expect(next.rows.count == 1)
        #expect(next.chunks.map(\.attempt.request.rawValue) == [1] && next.chunks.map(\.tokens.count) == [5])
    }

    @Test func anUrgentPromptOvertakesOneThatIsBeingComputed() throws {
        var role = MixedWorkerAlone.role(tokenBudget: 6)
        _ = grant(&role, WorkerPair.sequence(1, promptCount: 20))
        #expect(try step(&role).step.chunks.map(\.tokens.count) == [6])
        _ = grant(&role, WorkerPair.sequence(2, promptCount: 4, priority: .high))
        let step = try step(&role).step
        #expect(step.chunks.map(\.attempt.request.rawValue) == [2] && step.chunks.map(\.tokens.count) == [4])
    }

    @Test func aWholePromptIsARowWhereItIs() throws {
        var role = MixedWorkerAlone.role(tokenBudget: 8)
        let sequence = WorkerPair.sequence(1, promptCount: 6)
        _ = grant(&role, sequence, budget: 3)
        let prompt = try step(&role)
        let first = TokenEvent(attempt: sequence.attempt, index: 0, token: 7)
        #expect(prompt.reports == [.prefillStarted(sequence.attempt), .prefillFinished(sequence.attempt, first)])
        let next = try step(&role)
        #expect(next.reports.first == .embedded(sequence.attempt, row: 0))
        #expect(next.step.rows.first?.blockTable == prompt.step.chunks.first?.blockTable)
        #expect(next.step.rows.first?.position == 6 && next.step.rows.first?.input == 7)
    }

    @Test func aFirstTokenThatEndsTheAnswerLeavesNothing() throws {
        var role = MixedWorkerAlone.role()
        let sequence = WorkerPair.sequence(1, endTokens: [7])
        _ = grant(&role, sequence)
        let reports = try step(&role).reports
        #expect(reports.last == .prefillFinished(
            sequence.attempt, TokenEvent(attempt: sequence.attempt, index: 0, token: 7)))
        #expect(role.nextStep(at: start).step == nil)
        #expect(role.load.referencedBlocks == 0 && role.load.waiting == 0)
    }

    @Test func aCancelledPromptKeepsItsBlocksWhileTheyAreWritten() throws {
        var role = MixedWorkerAlone.role(blockCount: 4, maxModelLength: 16)
        let old = WorkerPair.sequence(1, promptCount: 14, maxTokens: 2)
        let new = WorkerPair.sequence(2, promptCount: 14, maxTokens: 2)
        _ = grant(&role, old)
        let step = try #require(role.nextStep(at: start).step)
        #expect(role.handle(.message(.cancel(old.attempt)), at: start).isEmpty)
        #expect(role.load.referencedBlocks == 4)
        // There will be room as soon as the step is over: no reason to refuse.
        let granted = grant(&role, new)
        #expect(granted.isEmpty)
        role.checkInvariants()
        let samples = MixedWorkerAlone.samples(of: step) { _ in 7 }
        #expect(role.handle(.stepFinished(samples), at: start).isEmpty)
        let next = try self.step(&role).step
        #expect(next.chunks.map(\.attempt) == [new.attempt])
    }

    @Test func aNewerAttemptStartsFromItsFirstToken() throws {
        var role = MixedWorkerAlone.role(tokenBudget: 4)
        _ = grant(&role, WorkerPair.sequence(1, promptCount: 10))
        let running = try #require(role.nextStep(at: start).step)
        let newer = WorkerPair.sequence(1, ordinal: 2, promptCount: 10)
        _ = grant(&role, newer)
        #expect(role.handle(.stepFinished(MixedWorkerAlone.samples(of: running) { _ in 7 }), at: start).isEmpty)
        let next = try step(&role).step
        let chunk = try #require(next.chunks.first)
        #expect(chunk.attempt == newer.attempt && chunk.start == 0)
    }

    /// Rows that grow take the blocks of prompts that rank below them, half computed or not.
    @Test func theLowestGivesWayWhereverItStands() {
        let worker = MixedWorkerAlone(blockCount: 8, tokenBudget: 4, maxSequences: 2, maxModelLength: 32)
        let first = WorkerPair.sequence(1, promptCount: 10, maxTokens: 20)
        let second = WorkerPair.sequence(2, promptCount: 18, maxTokens: 4)
        worker.submit(first)
        worker.submit(second)
        worker.run()
        #expect(worker.tokens(of: first) == WorkerPair.answer(to: first))
        #expect(worker.reports.contains(.prefillStarted(second.attempt)))
        #expect(worker.reports.contains(.decodeFailed(second.attempt, .evicted)))
        #expect(worker.tokens(of: second).isEmpty)
        #expect(worker.role.load.referencedBlocks == 0)
    }

    @Test func aFailedSampleGivesThePromptUp() throws {
        var role = MixedWorkerAlone.role()
        let sequence = WorkerPair.sequence(1)
        _ = grant(&role, sequence)
        let step = try #require(role.nextStep(at: start).step)
        #expect(step.chunks.count == 1)
        let sample = Sample(attempt: sequence.attempt, token: .failure(SampleFailure("a logit is not a number")))
        #expect(reports(role.handle(.stepFinished([sample]), at: start)) == [
            .decodeFailed(sequence.attempt, .computation("a logit is not a number"))
        ])
        #expect(role.load.referencedBlocks == 0)
    }

    @Test func ordersOfOtherRolesAreRefused() {
        var role = MixedWorkerAlone.role()
        let sequence = WorkerPair.sequence(1)
        let refusal = [WorkerMessage.prefillFailed(sequence.attempt, .refused("this is a mixed worker"))]
        let order = PrefillOrder(sequence: sequence, destination: WorkerPair.destination())
        #expect(reports(role.handle(.message(.prefill(order)), at: start)) == refusal)
        let retarget = CoordinatorMessage.retarget(
            from: AttemptID(request: RequestID(1), ordinal: 0), to: sequence.attempt, WorkerPair.destination())
        #expect(reports(role.handle(.message(retarget), at: start)) == refusal)
    }
}

/// A mixed worker around its real role, with a fake engine.
final class MixedWorkerAlone {
    private(set) var role: MixedRole
    private(set) var reports: [WorkerMessage] = []
    private let tokenBudget: Int
    private var kv: FakeKV
    private var now = Instant(nanoseconds: 0)

    static func role(
        blockCount: Int = 64, tokenBudget: Int = 16, maxSequences: Int = 4, maxModelLength: Int = 64,
        scheduling: Scheduling = .mixed, parking: ParkingLot.Limits = .none
    ) -> MixedRole {
        MixedRole(.init(
            decode: .init(
                clusterEpoch: WorkerPair.epoch, workerEpoch: WorkerEpoch(1), modelHash: "m",
                geometry: WorkerPair.geometry, blockCount: blockCount, maxSequences: maxSequences,
                maxModelLength: maxModelLength, parking: parking),
            maxBatchedTokens: tokenBudget, scheduling: scheduling))
    }

    init(
        blockCount: Int = 128, tokenBudget: Int = 16, maxSequences: Int = 4, maxModelLength: Int = 64,
        scheduling: Scheduling = .mixed
    ) {
        // The other policies heed no budget.
        self.tokenBudget = scheduling == .mixed ? tokenBudget : .max
        role = Self.role(
            blockCount: blockCount, tokenBudget: tokenBudget, maxSequences: maxSequences, maxModelLength: maxModelLength,
            scheduling: scheduling)
        kv = FakeKV(geometry: WorkerPair.geometry, blockCount: blockCount)
    }

    func submit(_ sequence: SequenceOrder, budget: Int = 0) {
        carryOut(role.handle(.message(.grant(Grant(sequence: sequence, budget: budget))), at: now))
    }

    func run() {
        for _ in 0..<2_000 where turn() || pass() {}
    }

    /// Lets the time pass that the role waits for; false if it waits for none.
    private func pass() -> Bool {
        guard let time = role.timeOfNextWakeUp else { return false }
        now = max(now, time)
        return true
    }

    /// One step; false when there is nothing to compute.
    @discardableResult
    func turn() -> Bool {
        now = now + .milliseconds(1)
        let (step, actions) = role.nextStep(at: now)
        carryOut(actions)
        guard let step else { return false }
        #expect(step.tokenCount <= tokenBudget)
        for row in step.rows { kv.writeAllLayers(row.input, position: row.position, row.blockTable) }
        for chunk in step.chunks {
            for (offset, token) in chunk.tokens.enumerated() {
                kv.writeAllLayers(token, position: chunk.start + offset, chunk.blockTable)
            }
        }
        let samples = Self.samples(of: step) { kv.sample(length: $0.length, $0.table, $0.sampling) }
        carryOut(role.handle(.stepFinished(samples), at: now))
        role.checkInvariants()
        return true
    }

    /// One sample for every row, then for every chunk that asks for one.
    static func samples(
        of step: MixedStep, _ token: ((length: Int, table: [BlockID], sampling: SamplingContext)) -> TokenID
    ) -> [Sample] {
        let rows = step.rows.map {
            Sample(attempt: $0.attempt, token: .success(token(($0.length, $0.blockTable, $0.sampling))))
        }
        let chunks = step.chunks.flatMap { chunk in
            chunk.samples.map {
                Sample(
                    attempt: $0.attempt,
                    token: .success(token((chunk.start + chunk.tokens.count, chunk.blockTable, $0.context))))
            }
        }
        return rows + chunks
    }

    func tokens(of sequence: SequenceOrder) -> [TokenID] {
        let events = reports.flatMap { report -> [TokenEvent] in
            switch report {
            case .prefillFinished(_, let event): [event]
            case .promptForked(_, let events): events
            case .tokens(let events): events
            default: []
            }
        }.filter { $0.attempt == sequence.attempt }
        #expect(events.map(\.index) == (0..<Int32(events.count)).map { $0 })
        return events.map(\.token)
    }

    private func copy(_ from: BlockID, _ to: BlockID) {
        for layer in 0..<WorkerPair.geometry.layerCount { kv.store(kv.payload(layer, from), layer, to) }
    }

    private func carryOut(_ actions: [MixedRole.Action]) {
        for action in actions {
            if case .report(let report) = action { reports.append(report) }
            if case .copyBlock(let from, let to) = action { copy(from, to) }
        }
    }
}
