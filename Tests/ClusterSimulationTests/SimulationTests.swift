import ClusterSimulation
import Testing

@Suite struct SimulationTests {
    @Test(arguments: 1...30) func nothingForbiddenHappens(seed: UInt64) {
        let simulation = Simulation(seed: seed)
        let report = simulation.run()
        #expect(simulation.violation == nil, "SEED=\(seed)")
        #expect(report.finished > 0)
    }

    @Test(arguments: PlantedBug.allCases) func plantedBugsAreFound(plant: PlantedBug) {
        #expect(Campaign.find(plant, limit: 2_000) != nil, "\(plant) was missed")
    }

    @Test func aSeedReplaysExactly() {
        for seed: UInt64 in [3, 70, 113] {
            #expect(Simulation(seed: seed).run() == Simulation(seed: seed).run())
        }
    }

    @Test func aPlantedBugReplaysExactly() throws {
        let find = try #require(Campaign.find(.failureSwallowed, limit: 100))
        let replay = Simulation(seed: find.seed, plant: .failureSwallowed)
        _ = replay.run()
        #expect(replay.violation?.description == find.violation.description)
    }

    @Test func seedsDiffer() {
        #expect(Simulation(seed: 1).run().digest != Simulation(seed: 2).run().digest)
    }

    /// Watching must not change what is watched.
    @Test func theStoryChangesNothing() {
        var lineCount = 0
        let told = Simulation(seed: 5) { _ in lineCount += 1 }.run()
        #expect(told == Simulation(seed: 5, checkInterval: 100).run())
        #expect(lineCount > 1_000)
    }

    /// All kinds of trouble really come up.
    @Test func seedsCoverTheFaults() {
        var total = SimulationReport()
        for seed: UInt64 in 1...80 { total.add(Simulation(seed: seed, checkInterval: 100).run()) }
        #expect(total.faults.allSatisfy { $0 > 0 }, "\(total.faults)")
        #expect(total.retargets > 0 && total.evictions > 0 && total.payloadsDamaged > 0)
        #expect(total.messagesLost > 0 && total.messagesDuplicated > 0 && total.messagesReordered > 0)
        #expect(total.attempts > total.finished)
        #expect(total.sharedSteps > 100)
        #expect(total.idleTokens > 50 && total.blocksCopied > 100)
        #expect(total.reusedTokens > 100 && total.heldBlocks > 50)
    }
}
