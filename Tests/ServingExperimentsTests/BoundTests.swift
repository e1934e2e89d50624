import Testing

@testable import ServingExperiments

@Suite struct BoundTests {
    /// Round figures: a core prefills 100 tokens a second and decodes 10, two do 200 and 12, side by side 90 and 9.
    private static let rates = EngineRates(
        prefillOnOne: 100, prefillOnTwo: 200, decodeOnOne: 10, decodeOnTwo: 12,
        sideBySide: .init(prefill: 90, decode: 9), together: [.init(prefill: 180, decode: 12)])

    private static func demand(
        prompt: Double, decoded: Double, longestPrompt: Double = 0, longestDecoded: Double = 0, batch: Int = 4
    ) -> ArmBound.Demand {
        ArmBound.Demand(
            prompt: prompt, output: decoded + 1, longestPrompt: longestPrompt, longestOutput: longestDecoded + 1, batch: batch)
    }

    private static func seconds(_ arm: ServingArm, _ demand: ArmBound.Demand) -> Double {
        ArmBound.seconds(of: arm, for: demand, rates: rates) ?? .nan
    }

    private func expect(_ value: Double, _ expected: Double, _ comment: Comment? = nil) {
        #expect(abs(value - expected) < 1e-9, comment)
    }

    @Test func inlineTakesThePhasesInTurn() {
        // 200 / 200 + 24 / 12.
        expect(Self.seconds(.orca, Self.demand(prompt: 200, decoded: 24)), 3)
    }

    @Test func separatedPhasesRunSideBySide() {
        // 180 / 90 = 18 / 9: both sides busy for two seconds.
        expect(Self.seconds(.baton, Self.demand(prompt: 180, decoded: 18)), 2)
        // Decode is the slower side: a second side by side, and what is left alone on its core at 10 a second.
        expect(Self.seconds(.baton, Self.demand(prompt: 90, decoded: 29)), 1 + 20.0 / 10)
        // Prefill is.
        expect(Self.seconds(.baton, Self.demand(prompt: 290, decoded: 9)), 1 + 200.0 / 100)
    }

    @Test func lentCoresGoWhereTheWorkIs() {
        // A second side by side, then both cores decode at 12, or prefill at 200.
        expect(Self.seconds(.batonLent, Self.demand(prompt: 90, decoded: 33)), 1 + 24.0 / 12)
        expect(Self.seconds(.batonLent, Self.demand(prompt: 490, decoded: 9)), 1 + 400.0 / 200)
    }

    @Test func staticPaysForTheLongest() {
        let demand = Self.demand(prompt: 100, decoded: 12, longestPrompt: 400, longestDecoded: 36)
        expect(Self.seconds(.static, demand), 400.0 / 200 + 36.0 / 12)
    }

    @Test func paddedOrcaComputesThePromptForEveryRow() {
        expect(Self.seconds(.orcaPadded, Self.demand(prompt: 100, decoded: 12, batch: 4)), 4 * 100.0 / 200 + 1)
    }

    @Test func aStepThatReadsTheWeightsOnceCountsForMixed() {
        // 180 and 12 in one second together; in turn it would take 0.9 + 1.
        expect(Self.seconds(.mixed, Self.demand(prompt: 180, decoded: 12)), 1)
    }

    @Test func moreFreedomIsNeverSlower() {
        for prompt in stride(from: 0.0, through: 600, by: 60) {
            for decoded in stride(from: 0.0, through: 60, by: 6) {
                let demand = Self.demand(prompt: prompt, decoded: decoded, longestPrompt: prompt, longestDecoded: decoded)
                #expect(Self.seconds(.batonLent, demand) <= Self.seconds(.baton, demand) + 1e-9)
                #expect(Self.seconds(.batonLent, demand) <= Self.seconds(.orca, demand) + 1e-9)
                #expect(Self.seconds(.mixed, demand) <= Self.seconds(.orca, demand) + 1e-9)
                #expect(Self.seconds(.orca, demand) <= Self.seconds(.orcaPadded, demand) + 1e-9)
            }
        }
    }

    /// Against a search over shares of the time on a fine grid.
    @Test func theMixIsTheLeast() throws {
        let modes = [EngineMode(prefill: 90, decode: 9), EngineMode(prefill: 200, decode: 0), EngineMode(prefill: 0, decode: 12)]
        for (prompt, decoded) in [(300.0, 20.0), (50, 40), (1000, 3)] {
            let exact = try #require(ModeMix.leastTime(prompt: prompt, decoded: decoded, modes: modes))
            var best = Double.infinity
            for a in 0...100 {
                for b in 0...(100 - a) {
                    let shares = [Double(a), Double(b), Double(100 - a - b)].map { $0 / 100 }
                    let prefill = zip(shares, modes).reduce(0) { $0 + $1.0 * $1.1.prefill }
                    let decode = zip(shares, modes).reduce(0) { $0 + $1.0 * $1.1.decode }
                    best = min(best, max(prompt / prefill, decoded / decode))
                }
            }
            #expect(exact <= best + 1e-9 && exact > best * 0.97, "\(exact) and \(best)")
        }
    }

    @Test func whatNoModeCanDoHasNoBound() {
        #expect(ModeMix.leastTime(prompt: 1, decoded: 1, modes: [EngineMode(prefill: 1, decode: 0)]) == nil)
        #expect(ModeMix.leastTime(prompt: 1, decoded: 0, modes: [EngineMode(prefill: 1, decode: 0)]) == 1)
        #expect(ModeMix.leastTime(prompt: 1, decoded: 1, modes: []) == nil)
    }

    @Test func demandIsThatOfTheQueriesSent() {
        func query(_ prompt: Int, _ output: Int) -> Workload.Query {
            Workload.Query(prompt: Array(repeating: 1, count: prompt), outputCount: output, isUrgent: false)
        }
        let demand = ArmBound.Demand([query(10, 1), query(20, 5), query(30, 3), query(40, 1), query(100, 90)], batch: 2)
        expect(demand.prompt, 40)
        expect(demand.output, 20)
        expect(demand.longestPrompt, 30, "of 20 and 40; the last is no batch")
        expect(demand.longestOutput, 4, "of 5 and 3")
    }

    /// 16 cores prefill in 0.625 s. Decoding takes them 0.125 s, or 0.833 s if memory is but twice as wide: then 4 cores are
    /// enough for it, and the other 12 prefill meanwhile.
    @Test func narrowMemoryMakesSeparationWorthMore() {
        let demand = Self.demand(prompt: 1000, decoded: 20)
        let wide = ServerExtrapolation(cores: 16, memory: 100).gain(for: demand, rates: Self.rates)
        let narrow = ServerExtrapolation(cores: 16, memory: 2).gain(for: demand, rates: Self.rates)
        #expect(wide < 1.05 && wide > 0.9)
        expect(narrow, (10.0 / 16 + 20.0 / 24) / (20.0 / 24))
    }
}
