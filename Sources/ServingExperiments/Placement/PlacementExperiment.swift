import ClusterCore
import Generation

/// Placement by prefixes beside placement that looks at no prompt, and beside one cache without limit, in virtual time. Equal arguments
/// give equal figures on every machine.
public struct PlacementExperiment: Sendable {
    /// Requests of a trace.
    public var count: Int
    public var workers: [Int]
    public var policies: [PlacementPolicy]
    /// Share of the workers' time that the prompts would take if nothing were computed twice.
    public var utilisation: Double
    /// Memory of all workers together, as a share of what the trace's different blocks take.
    public var memoryShare: Double
    /// Lengths are divided by it.
    public var scale: Double
    public var cost: StepCost
    public var seed: UInt64
    /// Prompts that a worker may have in flight.
    public var maxSequences: Int

    public init(
        count: Int, workers: [Int], policies: [PlacementPolicy] = PlacementPolicy.allCases, utilisation: Double, memoryShare: Double,
        scale: Double, cost: StepCost, seed: UInt64, maxSequences: Int = 256
    ) {
        self.count = count
        self.workers = workers
        self.policies = policies
        self.utilisation = utilisation
        self.memoryShare = memoryShare
        self.scale = scale
        self.cost = cost
        self.seed = seed
        self.maxSequences = maxSequences
    }

    private static let vocabularySize = 32_000
    private static let blockSize = 16
    private static let stepTokens = 512
    /// Longest prompts that a worker has at least room for.
    private static let leastPrompts = 2

    public func run(_ traces: [ReuseTrace] = [.azure, .mooncake]) -> PlacementReport {
        var rows: [PlacementReport.Row] = []
        for trace in traces {
            rows += measure(trace.lines(count, seed: seed), named: trace.shape.rawValue, variation: trace.shape.variation)
        }
        return report(rows)
    }

    /// - Parameter lines: of a real trace, which is stretched to the utilisation.
    public func run(_ lines: [TraceLine], named name: String) -> PlacementReport {
        report(measure(Array(lines.prefix(count)), named: name, variation: nil))
    }

    private func report(_ rows: [PlacementReport.Row]) -> PlacementReport {
        PlacementReport(utilisation: utilisation, memoryShare: memoryShare, scale: scale, rows: rows)
    }

    /// - Parameter variation: of the gaps between arrivals; `nil`: the lines have times.
    private func measure(_ lines: [TraceLine], named name: String, variation: Double?) -> [PlacementReport.Row] {
        let prompts = lines.map { $0.tokens(max(1, Int(Double($0.inputLength) / scale)), scale: scale, Self.vocabularySize) }
        guard let longest = prompts.map(\.count).max() else { return [] }
        let chains = BlockChains(prompts, blockSize: Self.blockSize)
        let cache = InfiniteCache(chains, lengths: prompts.map(\.count), blockSize: Self.blockSize)
        // Steps are full, as they are under load.
        let work = zip(prompts, cache.found).reduce(0.0) { sum, prompt in
            let missing = prompt.0.count - prompt.1
            return sum + cost.seconds(tokens: missing, contextTokens: prompt.0.count)
                - cost.perStep * (1 - Double(missing) / Double(Self.stepTokens))
        }
        let times = times(lines, variation: variation)
        return workers.flatMap { workers in
            let span = work / (utilisation * Double(workers))
            let timed = zip(prompts, times).map { PlacementRun.Prompt(time: $1 * span, tokens: $0) }
            let least = Self.leastPrompts * ((longest + Self.blockSize) / Self.blockSize)
            let memory = max(least, Int((memoryShare * Double(chains.users.count) / Double(workers)).rounded()))
            return policies.map { policy in
                var run = PlacementRun(
                    timed,
                    PlacementRun.Settings(
                        placement: policy, workers: workers, memory: memory, blockSize: Self.blockSize, stepTokens: Self.stepTokens, maxSequences: maxSequences, cost: cost,
                        indexCapacity: max(1 << 20, 2 * memory * workers)))
                return PlacementReport.Row(
                    trace: name, workers: workers, policy: policy.rawValue, memory: memory, infiniteHitRate: cache.hitRate, outcome: run.run())
            }
        }
    }

    /// - Returns: shares of the whole time, ascending, from 0.
    private func times(_ lines: [TraceLine], variation: Double?) -> [Double] {
        guard let variation else {
            let first = lines.first?.milliseconds ?? 0, span = max((lines.last?.milliseconds ?? 0) - first, 1)
            return lines.map { max(0, $0.milliseconds - first) / span }
        }
        var random = SeededRandom(seed: seed &* 3 &+ 1)
        return ArrivalProcess(rate: Double(lines.count), burstiness: 1 / (variation * variation)).times(lines.count, &random)
    }
}

/// What one cache would find that forgets nothing, and to which a prompt belongs from its arrival on.
struct InfiniteCache {
    /// Tokens of each prompt.
    private(set) var found: [Int] = []
    let hitRate: Double

    init(_ chains: BlockChains, lengths: [Int], blockSize: Int) {
        var known = Array(repeating: false, count: chains.users.count)
        for chain in chains.chains {
            found.append(chain.prefix { known[$0] }.count * blockSize)
            for name in chain { known[name] = true }
        }
        hitRate = Double(found.reduce(0, +)) / Double(max(1, lengths.reduce(0, +)))
    }
}

/// What the experiment on placement found, as data and as a table.
public struct PlacementReport: Sendable, Codable {
    struct Row: Sendable, Codable {
        var trace: String
        var workers: Int
        var policy: String
        /// Blocks of each worker.
        var memory: Int
        var infiniteHitRate: Double
        var outcome: PlacementOutcome

        /// Of what the infinite cache finds.
        var hitShare: Double { infiniteHitRate > 0 ? outcome.hitRate / infiniteHitRate : 1 }
    }

    var utilisation: Double
    var memoryShare: Double
    var scale: Double
    var rows: [Row]

    public var text: String {
        var table = MarkdownTable(columns: [
            "trace", "workers", "placement", "hit rate, %", "of an infinite cache's, %", "imbalance, %", "busy, %", "TTFT mean, s", "TTFT p99, s",
            "evictions",
        ])
        for row in rows {
            let outcome = row.outcome
            table.append([
                row.trace, "\(row.workers)", "`\(row.policy)`", (outcome.hitRate * 100).plain(1), (row.hitShare * 100).plain(1),
                (outcome.imbalance * 100).plain(1), (outcome.utilisation * 100).plain(1), (outcome.waits.mean ?? 0).plain(3),
                (outcome.waits.quantile(0.99) ?? 0).plain(3), "\(outcome.evictions)",
            ])
        }
        return table.text
    }
}
