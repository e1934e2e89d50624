import Foundation
import Synchronization
import Testing

@testable import ServingExperiments

@Suite struct BenchmarkSessionTests {
    /// Measures nothing, a second each.
    private final class FakeBench: CellMeasuring {
        struct Broken: Error, CustomStringConvertible { var description: String { "broken" } }

        let measured = Mutex<[String]>([])
        let clock = Mutex<Double>(0)
        let peaks = Mutex<[Int?]>([])
        let broken: ServingArm?
        let build: String

        init(broken: ServingArm? = nil, build: String = "b") {
            self.broken = broken
            self.build = build
        }

        func measure(_ cell: Cell, peakBlocks: Int?) async throws -> CellResult {
            clock.withLock { $0 += 1 }
            if cell.arm == broken { throw Broken() }
            measured.withLock { $0.append(cell.name) }
            peaks.withLock { $0.append(peakBlocks) }
            return Samples.result(cell, build: build)
        }

        func rates(_ key: RatesResult.Key) async throws -> EngineRates { Samples.rates }
    }

    private func session(
        _ store: ResultStore, _ bench: FakeBench, plan: ExperimentPlan = Samples.plan(), arms: Set<ServingArm> = [.baton, .mixed]
    ) -> BenchmarkSession {
        BenchmarkSession(
            plan: plan, arms: arms, store: store, build: bench.build, bench: bench, now: { bench.clock.withLock { $0 } }, report: { _ in })
    }

    @Test func armsFollowOneAnotherInEachRepetition() async throws {
        try await Samples.withStore { store in
            let bench = FakeBench()
            let results = try await session(store, bench).run(until: nil)
            #expect(results.results.map(\.cell.arm) == [.baton, .mixed, .baton, .mixed])
            #expect(results.missing.isEmpty && results.rates.count == 2)
        }
    }

    @Test func timeEndsItBetweenCellsAndItGoesOnWhereItWas() async throws {
        try await Samples.withStore { store in
            let first = FakeBench()
            // Three cells of a second fit into three and a half; a fourth would not.
            let part = try await session(store, first).run(until: 3.5)
            #expect(part.results.count == 3 && part.missing.count == 1)
            let second = FakeBench()
            let whole = try await session(store, second).run(until: nil)
            #expect(whole.results.count == 4 && whole.missing.isEmpty)
            #expect(second.measured.withLock { $0 } == part.missing.map(\.name))
        }
    }

    /// As if the process had died while it wrote: what is not whole is measured again.
    @Test func aDamagedResultIsMeasuredAgain() async throws {
        try await Samples.withStore { store in
            _ = try await session(store, FakeBench()).run(until: nil)
            let victim = Samples.plan().cells[1]
            let file = store.directory.appendingPathComponent(victim.name + ".json")
            let half = try Data(contentsOf: file).prefix(100)
            try half.write(to: file)
            let again = FakeBench()
            _ = try await session(store, again).run(until: nil)
            #expect(again.measured.withLock { $0 } == [victim.name])
        }
    }

    @Test func anotherBuildMeasuresAnew() async throws {
        try await Samples.withStore { store in
            _ = try await session(store, FakeBench()).run(until: nil)
            let other = FakeBench(build: "c")
            let results = try await session(store, other).run(until: nil)
            #expect(other.measured.withLock { $0.count } == 4)
            #expect(results.results.allSatisfy { $0.build == "c" })
        }
    }

    @Test func aCellThatFailsIsNamedAndTheOthersGoOn() async throws {
        try await Samples.withStore { store in
            let results = try await session(store, FakeBench(broken: .mixed)).run(until: nil)
            #expect(results.results.map(\.cell.arm) == [.baton, .baton])
            #expect(results.missing.map { results.failures[$0.name] } == ["broken", "broken"])
        }
    }

    @Test func armsThatTheBuildCannotServeAreNamed() async throws {
        try await Samples.withStore { store in
            let session = session(store, FakeBench(), plan: Samples.plan(arms: [.static, .baton]))
            let results = try await session.run(until: nil)
            #expect(results.missing.allSatisfy { $0.arm == .static })
            #expect(Set(results.failures.values) == ["this build cannot serve it"])
        }
    }

    @Test func aShareOfMemoryIsOfTheRunWithoutLimit() async throws {
        try await Samples.withStore { store in
            let bench = FakeBench()
            _ = try await session(store, bench, plan: Samples.plan(arms: [.baton], experiments: [.memory], runs: 1)).run(until: nil)
            #expect(bench.peaks.withLock { $0 } == [nil, 40, 40, 40])
        }
    }

    @Test func everyCellHasANameOfItsOwn() {
        for plan in [ExperimentPlan.full, .short] {
            let names = plan.cells.map(\.name)
            #expect(Set(names).count == names.count)
            #expect(plan.cells.allSatisfy { $0.workload.longest <= 2048 })
        }
    }
}
