import ClusterCore
import Foundation
import FoundationXML
import Synchronization
import Testing

@testable import ServingExperiments

/// Measures nothing, a second each.
private final class FakeBatchBench: BatchCellMeasuring {
    struct Broken: Error, CustomStringConvertible { var description: String { "broken" } }

    let measured = Mutex<[String]>([])
    let clock = Mutex<Double>(0)
    let broken: BatchArm?

    init(broken: BatchArm? = nil) { self.broken = broken }

    func measure(_ cell: BatchCell) async throws -> BatchCellResult {
        clock.withLock { $0 += 1 }
        if cell.arm == broken { throw Broken() }
        measured.withLock { $0.append(cell.name) }
        return BatchSamples.result(cell)
    }
}

private enum BatchSamples {
    static func plan(
        arms: [BatchArm] = [.none, .lru], experiments: [BatchExperiment] = [.arms], degrees: [Int] = [4], runs: Int = 2
    ) -> BatchExperimentPlan {
        BatchExperimentPlan(
            experiments: experiments, arms: arms, degrees: degrees, unit: 100, count: 8, rows: 4, seeds: [42], runs: runs)
    }

    /// - Parameter speed: queries per second.
    static func result(_ cell: BatchCell, speed: Double = 1, isExact: Bool = true) -> BatchCellResult {
        let workload = cell.workload
        return BatchCellResult(
            cell: cell, build: "b", time: 0,
            measures: BatchMeasures(
                seconds: Double(workload.count) / speed, promptTokens: workload.count * workload.promptLength, outputTokens: workload.count * 5,
                prefilledTokens: workload.count * workload.promptLength / 2, stepTokens: 12, planningSeconds: 0.001, plannedGroups: 2,
                plannedSaving: 600, completions: (1...workload.count).map { Double($0) / speed }, exactCount: isExact ? workload.count : 0,
                queryCount: workload.count, retriedCount: 0),
            cluster: ClusterMeasures(peakKVBytes: 3 << 20, preemptions: 1))
    }
}

@Suite struct BatchSessionTests {
    private func session(
        _ store: ResultStore, _ bench: FakeBatchBench, plan: BatchExperimentPlan = BatchSamples.plan(), arms: Set<BatchArm> = [.none, .lru]
    ) -> BatchSession {
        BatchSession(
            plan: plan, arms: arms, store: store, build: "b", bench: bench, now: { bench.clock.withLock { $0 } }, report: { _ in })
    }

    @Test func armsFollowOneAnotherAndNothingIsMeasuredTwice() async throws {
        try await Samples.withStore { store in
            let first = FakeBatchBench()
            let part = try await session(store, first).run(until: 3.5)
            #expect(part.results.map(\.cell.arm) == [.none, .lru, .none] && part.missing.count == 1)
            let second = FakeBatchBench()
            let whole = try await session(store, second).run(until: nil)
            #expect(whole.results.count == 4 && whole.missing.isEmpty)
            #expect(second.measured.withLock { $0 } == part.missing.map(\.name))
        }
    }

    @Test func aBrokenArmIsNamedAndTheOthersGoOn() async throws {
        try await Samples.withStore { store in
            let found = try await session(store, FakeBatchBench(broken: .lru), plan: BatchSamples.plan(arms: [.none, .lru, .shared])).run(until: nil)
            #expect(found.results.map(\.cell.arm) == [.none, .none])
            let reasons = Set(found.missing.map { "\($0.arm.rawValue): \(found.failures[$0.name] ?? "")" })
            #expect(reasons == ["lru: broken", "shared: this build cannot serve it"])
        }
    }

    @Test func everyCellHasANameOfItsOwn() {
        for plan in [BatchExperimentPlan.full, .short, .paper] {
            let cells = plan.cells
            #expect(Set(cells.map(\.name)).count == cells.count)
            // As file names.
            #expect(cells.allSatisfy { $0.name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") } })
        }
    }
}

@Suite struct BatchCellTests {
    private func cell(_ arm: BatchArm, order: JobOrder = .ofArm, admission: JobAdmission = .ofArm, memoryShare: Double = 1) -> BatchCell {
        BatchCell(
            experiment: .arms, arm: arm, workload: .spreadOutputs(degree: 4, unit: 100, count: 40), rows: 8, order: order, admission: admission,
            memoryShare: memoryShare, seed: 3, run: 0)
    }

    @Test func memoryIsAShareOfWhatTheRowsHold() {
        // 110 + 50 tokens: 10 blocks.
        #expect(cell(.none).memoryBlocks == 80 && cell(.none, memoryShare: 0.5).memoryBlocks == 40)
        // Never less than two queries need.
        #expect(cell(.none, memoryShare: 0.01).memoryBlocks == 20)
    }

    @Test func admissionIsTheArmsUnlessTheCellSays() {
        #expect(BatchCellRunner.limit(cell(.memory)) == .kvMemory(blocks: 80, blockSize: 16))
        #expect(BatchCellRunner.limit(cell(.reordered, admission: .tokens)) == .tokens(80 * 16))
        guard case .requests(let count) = BatchCellRunner.limit(cell(.grouped)) else {
            Issue.record("grouped is not limited by requests")
            return
        }
        // The rows and some that wait.
        #expect(count > 8 && count < 16)
    }

    @Test func plannedArmsNameTheirGroups() throws {
        let workload = cell(.memory).workload, queries = workload.queries(seed: 3, vocabularySize: 1000)
        for arm in BatchArm.allCases {
            let (plan, lengths) = BatchCellRunner.plan(queries, cell(arm))
            var window = AdmissionWindow(
                plan: plan, promptLengths: queries.map(\.prompt.count), answerLimits: lengths, limit: .requests(100), followersWait: false)
            var sizes: [PrefixGroup: Int] = [:]
            while let next = window.next() {
                guard let group = plan.prefixGroup(next.group), arm.namesGroups else { continue }
                sizes[group, default: 0] += 1
                #expect(group.prefixCount < queries[next.prompt].prompt.count)
            }
            // Ten groups of four.
            #expect(sizes.count == (arm.namesGroups ? 10 : 0) && sizes.allSatisfy { $0.key.memberCount == 4 && $0.value == 4 }, "\(arm)")
        }
    }

    @Test func ordersDifferAndHoldEveryPromptOnce() {
        let workload = cell(.memory).workload, queries = workload.queries(seed: 3, vocabularySize: 1000)
        let orders = JobOrder.allCases.map { BatchCellRunner.plan(queries, cell(.memory, order: $0)).0.order }
        #expect(orders.allSatisfy { $0.sorted() == Array(queries.indices) })
        #expect(Set(orders).count == JobOrder.allCases.count)
        #expect(BatchCellRunner.plan(queries, cell(.none)).0.order == Array(queries.indices))
    }

    @Test func answersOfAPartAreThoseOfTheWhole() {
        let workload = PrefixWorkload.paper(degree: 4, unit: 100, count: 40)
        let part = workload.queries(count: 10, seed: 1, vocabularySize: 1000), whole = workload.queries(count: 40, seed: 1, vocabularySize: 1000)
        #expect(part == Array(whole.prefix(10)) && whole.count == 40)
    }
}

@Suite struct BatchReportTests {
    private func render(_ results: [BatchCellResult], planned: [BatchCell]? = nil) -> BatonReport.Rendered {
        let context = ReportContext(
            machine: "two cores", model: "a model", build: "b", date: "2026-01-31", command: "make bench-batchllm")
        let set = BatchResultSet(planned: planned ?? results.map(\.cell), results: results, failures: [:])
        return BatchReport(results: set, context: context, plotDirectory: "plots").render()
    }

    private var cells: [BatchCell] { BatchSamples.plan(runs: 3).cells }

    @Test func comparisonsSayWhoWins() {
        func text(_ lru: [Double], _ none: [Double]) -> String {
            render(cells.map { BatchSamples.result($0, speed: ($0.arm == .lru ? lru : none)[$0.run]) }).markdown
        }
        #expect(text([2, 2.01, 1.99], [1, 1, 1]).contains("`lru` wins"))
        #expect(text([1, 1, 1], [2, 2.01, 1.99]).contains("**`none` wins**"))
        #expect(text([1, 2, 1], [2, 1, 1]).contains("| open |"))
    }

    @Test func figuresStandInTheTable() {
        let rendered = render(cells.map { BatchSamples.result($0, speed: 2) })
        let text = rendered.markdown
        // Eight prompts of 110 tokens in groups of four: 6 · 100 of 880 are shared, and half was not computed.
        #expect(text.contains("| prefix-100-degree-4-of-8 | 100 | `lru` | 3 | 10 [10, 10] | 120 [120, 120] | 50.0 [50.0, 50.0] | 73.3 [73.3, 73.3] |"))
        #expect(text.contains("6 of 6 cells measured") && text.contains("Each of the 48 answers has the tokens of the same query alone"))
        for plot in rendered.plots {
            #expect(text.contains("(plots/\(plot.name))"))
            #expect(XMLParser(data: Data(plot.svg.utf8)).parse(), "\(plot.name)")
        }
        #expect(rendered.plots.count == 3)
    }

    @Test func otherEnginesStandBesideTheBestArm() throws {
        let fast = cells.map { BatchSamples.result($0, speed: $0.arm == .lru ? 4 : 2) }
        // As the script writes it: 40 tokens in 4 s.
        let peers = try JSONDecoder().decode([PeerJob].self, from: Data("""
            [{"engine": "llama-server", "setting": "prompt cache", "version": "b1", "job": "prefix-100-degree-4-of-8", "requests": 8,
              "outputTokens": 40, "seconds": 4.0, "saving": 0.25},
             {"engine": "other", "setting": "plain", "version": "1", "job": "another job", "requests": 8, "outputTokens": 40, "seconds": 1, "saving": null}]
            """.utf8))
        let set = BatchResultSet(planned: cells, results: fast, failures: [:], peers: peers)
        let context = ReportContext(machine: "", model: "", build: "", date: "", command: "")
        let text = BatchReport(results: set, context: context, plotDirectory: "plots").render().markdown
        #expect(text.contains("| llama-server (b1) | prompt cache | 1 | 10 | 25.0 | `lru` | 2.00 |"))
        #expect(!text.contains("another job"))
    }

    @Test func aJobInAFileIsTheJob() throws {
        let workload = PrefixWorkload.paper(degree: 2, unit: 40, count: 4)
        let lines = try JobLine.text(of: workload, seed: 1, vocabularySize: 100).split(separator: UInt8(ascii: "\n"))
        let read = try lines.map { try JSONDecoder().decode(JobLine.self, from: $0) }
        let queries = workload.queries(seed: 1, vocabularySize: 100)
        #expect(read.map(\.prompt) == queries.map(\.prompt) && read.map(\.maxTokens) == queries.map(\.outputCount))
        #expect(String(decoding: lines[0], as: UTF8.self).contains("\"max_tokens\":2"))
    }

    @Test func defectsAndGapsAreNamed() {
        let text = render([BatchSamples.result(cells[0], isExact: false)], planned: cells).markdown
        #expect(text.contains("**1 cells have answers that differ"))
        #expect(text.contains("- 5 cells of `none`, `lru`: not measured yet."))
    }
}
