import ArgumentParser
import ClusterSimulation

@main struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run the cluster's real state machines through seeded faults, and check what must never happen.",
        discussion: "A failing seed is printed as SEED=… with its story; the same seed always fails in the same way.")

    @Option(help: "How many seeds to run.") var seeds = 200
    @Option(help: "The first seed.") var seed: UInt64 = 1
    @Flag(inversion: .prefixedNo, help: "Also plant bugs and demand that each is found.") var plants = true
    @Option(help: "Seeds within which a planted bug must be found.") var plantSeeds = 2_000
    @Option(help: "Check the state machines' invariants every so many events.") var checkInterval = 16
    @Flag(name: .shortAndLong, help: "Print every seed; with a single seed, its story.") var verbose = false

    func validate() throws {
        guard seeds >= 0, plantSeeds > 0, checkInterval > 0 else {
            throw ValidationError("--seeds, --plant-seeds and --check-interval must be positive")
        }
    }

    func run() throws {
        TrapReport.install()
        try runSeeds()
        measureScheduler()
        if plants { try findPlants() }
    }

    private func runSeeds() throws {
        guard seeds > 0 else { return }
        var total = SimulationReport()
        let clock = ContinuousClock()
        let start = clock.now
        for offset in 0..<UInt64(seeds) {
            let seed = seed &+ offset
            TrapReport.set(seed: seed)
            let narrate: ((String) -> Void)? = verbose && seeds == 1 ? { print($0) } : nil
            let simulation = Simulation(seed: seed, checkInterval: checkInterval, narrate: narrate)
            let report = simulation.run()
            total.add(report)
            if verbose { print("seed \(seed): \(report.steps) steps, digest \(String(report.digest, radix: 16))") }
            if let violation = simulation.violation {
                tellStory(seed, violation, plant: nil)
                throw ExitCode.failure
            }
        }
        summarize(total, seconds: (clock.now - start) / .seconds(1))
    }

    /// The seed again, this time with every line of its story kept.
    private func tellStory(_ seed: UInt64, _ violation: Violation, plant: PlantedBug?) {
        var story: [String] = []
        _ = Simulation(seed: seed, plant: plant, checkInterval: checkInterval) { story.append($0) }.run()
        for line in story.suffix(80) { print(line) }
        print("SEED=\(seed) \(violation)")
    }

    private func summarize(_ total: SimulationReport, seconds: Double) {
        print("seeds \(seed)...\(seed &+ UInt64(seeds - 1)): no violation")
        print("steps \(total.steps) (\(Int(Double(total.steps) / seconds))/s), virtual time \(total.virtualTime)")
        print(
            "requests \(total.requests): finished \(total.finished), failed \(total.failed), refused \(total.refused), "
                + "broken by the coordinator's death \(total.broken)")
        print(
            "tokens \(total.tokens), choices beside the first \(total.choices), scores of prompts \(total.scores), attempts \(total.attempts), retargets \(total.retargets), parks \(total.parks), "
                + "resumes \(total.resumes), blocks given back \(total.releasedBlocks), migrations \(total.migrations), "
                + "evictions \(total.evictions), registrations \(total.registrations), "
                + "steps with rows and chunks \(total.sharedSteps), "
                + "token rows of padding \(total.idleTokens), blocks moved by shaping \(total.blocksCopied)")
        print("prefixes: tokens not computed again \(total.reusedTokens), blocks not sent again \(total.heldBlocks)")
        let faults = zip(FaultKind.allCases, total.faults).map { "\($0.rawValue) \($1)" }
        print("faults: " + faults.joined(separator: ", "))
        print(
            "messages: lost \(total.messagesLost), duplicated \(total.messagesDuplicated), "
                + "reordered \(total.messagesReordered), payloads damaged \(total.payloadsDamaged)")
        print("digest \(String(total.digest, radix: 16))")
    }

    private func measureScheduler() {
        let measurement = SchedulerLoad.measure(workers: 1_000, queued: 10_000, events: 200_000)
        print("scheduler: \(Int(measurement.eventsPerSecond)) events/s with 1000 workers and 10000 queued requests")
    }

    private func findPlants() throws {
        var missed: [PlantedBug] = []
        for plant in PlantedBug.allCases {
            if let find = Campaign.find(plant, from: seed, limit: plantSeeds) {
                print("planted \(plant.rawValue): found in seed \(find.seed), \(find.violation)")
                if verbose { tellStory(find.seed, find.violation, plant: plant) }
            } else {
                print("planted \(plant.rawValue): MISSED in \(plantSeeds) seeds")
                missed.append(plant)
            }
        }
        if !missed.isEmpty { throw ExitCode.failure }
    }
}
