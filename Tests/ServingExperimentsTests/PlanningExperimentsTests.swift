import ClusterCore
import Testing

@testable import ServingExperiments

/// Planning in virtual time: what the imitated engine says has to be what arithmetic says.
@Suite struct PlanningExperimentsTests {
    private static let cost = StepCost(prefillRate: 1000, stepSeconds: 0.01, contextRate: 1_000_000)

    private func run(
        _ workload: PrefixWorkload, _ arm: BatchArm, limit: AdmissionWindow.Limit = .requests(8), memory: Int = 10_000, expected: [Int]? = nil
    ) throws -> PlanningOutcome {
        var run = VirtualRun(
            workload.queries(seed: 3, vocabularySize: 32_000),
            VirtualRun.Settings(arm: arm, limit: limit, memory: memory, stepTokens: 128, cost: Self.cost), expected: expected)
        let outcome = run.run()
        return try #require(outcome)
    }

    @Test func withoutSharingEveryTokenIsComputedOnce() throws {
        let outcome = try run(.paper(degree: 4, unit: 100, count: 24), .none)
        #expect(outcome.prefilledTokens == 24 * 110 && outcome.saving == 0 && outcome.preemptions == 0)
        // The first token of an answer comes with its prompt.
        #expect(outcome.decoded.reduce(0, +) == 24 * 4 && outcome.prefilled.reduce(0, +) == 24 * 110)
        // Eight at a time, with at most 8 blocks of prompt and answer each.
        #expect((8 * 7...8 * 8).contains(outcome.peakBlocks))
    }

    @Test(arguments: [2, 4, 8, 16], [BatchArm.grouped, .reordered, .memory, .shared])
    func groupsSaveTheIdealWithAQuarterOfTheMemory(degree: Int, arm: BatchArm) throws {
        let workload = PrefixWorkload.paper(degree: degree, unit: 500, count: 160)
        let blocks = 8 * 36 / 4 * 2
        let outcome = try run(workload, arm, limit: arm.isSizedByMemory ? .kvMemory(blocks: blocks, blockSize: 16) : .requests(8), memory: blocks)
        #expect(outcome.saving >= 0.99 * workload.idealSaving)
        #expect(outcome.prematureEvictions == 0)
    }

    @Test func aCacheForgetsWhatItWillNeed() throws {
        let workload = PrefixWorkload.paper(degree: 4, unit: 500, count: 160)
        let outcome = try run(workload, .lru, memory: 8 * 36)
        #expect(outcome.saving < 0.5 * workload.idealSaving && outcome.prematureEvictions > 100)
        // With memory for all of them it forgets nothing.
        let whole = try run(workload, .lru, memory: 10_000)
        #expect(whole.saving > 0.8 * workload.idealSaving && whole.evictions == 0)
    }

    @Test func readingAPrefixOnceTakesLessTime() throws {
        let workload = PrefixWorkload.paper(degree: 8, unit: 500, count: 64)
        let memory = try run(workload, .memory, limit: .kvMemory(blocks: 500, blockSize: 16))
        let shared = try run(workload, .shared, limit: .kvMemory(blocks: 500, blockSize: 16))
        #expect(shared.seconds < memory.seconds && shared.prefilledTokens == memory.prefilledTokens)
    }

    @Test func nobodyIsSentBackFromABatchSizedByMemoryWhenLengthsAreKnown() throws {
        let workload = PrefixWorkload.spreadOutputs(degree: 8, unit: 400, count: 96)
        let byMemory = try run(workload, .memory, limit: .kvMemory(blocks: 200, blockSize: 16), memory: 200)
        let byRequests = try run(workload, .reordered, limit: .requests(64), memory: 200)
        #expect(byRequests.preemptions > 10 && byRequests.recomputedTokens > 0)
        #expect(byMemory.preemptions == 0)
        #expect(byRequests.outputTokens == byMemory.outputTokens)
    }

    @Test func equalSeedsGiveEqualFigures() throws {
        let experiments = PlanningExperiments(unit: 100, count: 48, degrees: [1, 4], rows: 8, stepTokens: 64, cost: Self.cost, seed: 7)
        let (first, second) = (try experiments.run(), try experiments.run())
        #expect(first.text == second.text)
        for heading in ["1. Arms", "2. Two levels", "3. KV memory", "4. Order", "5. Admission"] { #expect(first.text.contains("### " + heading)) }
    }

    @Test func theWorkloadIsWhatItSays() {
        let workload = PrefixWorkload.twoLevel(degree: 4, unit: 100, count: 30)
        let queries = workload.queries(seed: 1, vocabularySize: 32_000)
        #expect(queries.count == 30 && queries.allSatisfy { $0.prompt.count == workload.promptLength })
        #expect(Set(queries.map { $0.prompt.prefix(10) }).count == 1)
        #expect(Set(queries.map { $0.prompt.prefix(110) }).count == 8)
        #expect(queries == workload.queries(seed: 1, vocabularySize: 32_000) && queries != workload.queries(seed: 2, vocabularySize: 32_000))
        // The paper's figures, of 6400 requests.
        let ideals = [1, 2, 4, 8, 16].map { PrefixWorkload.paper(degree: $0, unit: 2000, count: 6400).idealSaving * 100 }
        for (ideal, expected) in zip(ideals, [0, 45.5, 68.2, 79.5, 85.2]) { #expect(abs(ideal - expected) < 0.06) }
    }
}
