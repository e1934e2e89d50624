import ClusterCore
import Foundation
import Inference
import Kernels
import LentCores
import Synchronization

/// What lending cores costs and gives, with two workers of one core each in this process.
public final class CoreLeaseBenchmark {
    /// One workload on a core of its own, and with leases; medians over pairs of steps, one after the other.
    public struct Comparison: Sendable, Encodable {
        public var workload: String
        /// Whether the other core is idle, or the other worker runs on it.
        public var otherIsIdle: Bool
        public var tokensPerSecondOff: Double
        public var tokensPerSecondOn: Double
        /// Time without leases over time with them: median of the pairs, and its 95 % confidence interval.
        public var speed: Double
        public var low: Double
        public var high: Double
        public var pairs: Int
        /// Of a crew that always has both cores, where the other one is idle; and what leases have of it, as above.
        public var tokensPerSecondBoth: Double?
        public var ofBoth: Double?
        public var ofBothLow: Double?
        public var ofBothHigh: Double?
    }

    /// How long a worker waited for its core while the other ran chunks of a prompt on both, in milliseconds.
    public struct Homecoming: Sendable, Encodable {
        public var workload: String
        public var trials: Int
        /// Those in which the core was lent; the times are of these.
        public var waits: Int
        public var median: Double
        public var p90: Double
        public var p99: Double
        public var max: Double
        /// One chunk, and one layer's share of it.
        public var chunk: Double
        public var layer: Double
    }

    private let model: Model
    private let directory: String
    /// Of this worker, and of the other one.
    private let home: Int, other: Int
    private let team: ThreadTeam
    private let steps: LeasedSteps
    private let workloads: [LeasedSteps.Workload]

    /// - Parameter directory: for the leases; made if it does not exist.
    /// - Throws: `KernelError`, `ForwardError`, `LeaseFileError`.
    public init(model: Model, directory: String, home: Int, other: Int, chunk: Int, context: Int, batches: [Int]) throws {
        self.model = model
        self.directory = directory
        self.home = home
        self.other = other
        workloads = [.prefill(tokens: chunk)] + batches.map { .decode(rows: $0, context: context) }
        team = try ThreadTeam(maxThreads: 2)
        steps = try LeasedSteps(model: model, team: team, workloads: workloads)
    }

    fileprivate static func now() -> Instant {
        Instant(nanoseconds: Int64(clamping: DispatchTime.now().uptimeNanoseconds))
    }

    private func board(at home: Int) throws -> LeaseFile {
        let board = try LeaseFile(directory: directory, allowed: [self.home, other])
        try board.makeHome(on: [home])
        return board
    }

    // MARK: Steps

    /// Each workload with the other core idle, and with a worker on it that gives nothing.
    /// - Parameter time: for each of them.
    public func comparisons(for time: Duration) throws -> [Comparison] {
        let fixed = try FixedCrew(team: team, threads: 1, cores: [home])
        let both = try FixedCrew(team: team, threads: 2, cores: [home, other])
        let lent = try LentCrew(
            team: team, rules: CoreLeases.Rules(homes: [home], maxCores: 2), board: board(at: home), clock: Self.now)
        let neighbour = try board(at: other)
        return try [true, false].flatMap { isIdle in
            if isIdle { neighbour.giveBack(other) } else { _ = neighbour.take(other) }
            return try workloads.map { workload in
                var times: (off: [Double], on: [Double], both: [Double]) = ([], [], [])
                for crew in [fixed, lent] as [any EngineCrew] { try steps.run(workload, on: crew) }
                let began = ContinuousClock.now
                // Several of each in a row, as in a worker: a thread that slept through the others' step wakes slowly.
                while times.on.count < 5 || began.duration(to: .now) < time {
                    times.off += try run(workload, on: fixed)
                    times.on += try run(workload, on: lent)
                    lent.rest()
                    if isIdle { times.both += try run(workload, on: both) }
                }
                lent.rest()
                return Self.comparison(workload, isIdle, times)
            }
        }
    }

    private static let stepsInARow = 4

    private func run(_ workload: LeasedSteps.Workload, on crew: any EngineCrew) throws -> [Double] {
        try (0..<Self.stepsInARow).map { _ in try steps.run(workload, on: crew) / .seconds(1) }
    }

    /// Median of a/b, pair by pair, and its 95 % confidence interval.
    private static func ratio(_ a: [Double], _ b: [Double]) -> (median: Double, low: Double, high: Double) {
        let ratio = MedianInterval(zip(a, b).map { $0 / $1 })
        return (ratio?.median ?? .nan, ratio?.low ?? .nan, ratio?.high ?? .nan)
    }

    private static func comparison(
        _ workload: LeasedSteps.Workload, _ otherIsIdle: Bool, _ times: (off: [Double], on: [Double], both: [Double])
    ) -> Comparison {
        let speed = ratio(times.off, times.on), ofBoth = otherIsIdle ? ratio(times.both, times.on) : nil
        return Comparison(
            workload: workload.name, otherIsIdle: otherIsIdle,
            tokensPerSecondOff: Double(workload.tokens) / (times.off.median ?? .nan),
            tokensPerSecondOn: Double(workload.tokens) / (times.on.median ?? .nan), speed: speed.median,
            low: speed.low, high: speed.high, pairs: times.on.count,
            tokensPerSecondBoth: times.both.median.map { Double(workload.tokens) / $0 }, ofBoth: ofBoth?.median,
            ofBothLow: ofBoth?.low, ofBothHigh: ofBoth?.high)
    }

    // MARK: The way home

    /// The other worker computes prompts on both cores; this one comes home now and then.
    public func homecoming(trials: Int) throws -> Homecoming {
        // A thread starts where its maker may run.
        try team.place(on: [])
        let neighbour = BusyNeighbour(
            model: model, directory: directory, home: other, allowed: [home, other], workload: workloads[0])
        let lent = try LentCrew(
            team: team, rules: CoreLeases.Rules(homes: [home], maxCores: 1), board: board(at: home), clock: Self.now)
        var waits: [Double] = []
        for trial in 0..<trials {
            // At any moment of a chunk: the pauses have nothing to do with its length.
            usleep(20_000 + UInt32(trial * 7919 % 30_000))
            let before = lent.counters.waits, wait = ContinuousClock().measure { lent.begin(borrowing: false) }
            if lent.counters.waits > before { waits.append(wait / .milliseconds(1)) }
            lent.end()
            lent.rest()
        }
        let chunks = try neighbour.stop(), ordered = waits.sorted(), chunk = chunks.median ?? .nan
        func quantile(_ percent: Int) -> Double {
            ordered.isEmpty ? .nan : ordered[min(ordered.count - 1, ordered.count * percent / 100)]
        }
        return Homecoming(
            workload: workloads[0].name, trials: trials, waits: waits.count, median: quantile(50), p90: quantile(90),
            p99: quantile(99), max: quantile(100), chunk: chunk, layer: chunk / Double(model.configuration.layerCount))
    }
}

/// A worker that computes one chunk after the other, on a thread of its own, until it is stopped.
private final class BusyNeighbour: Sendable {
    private struct State {
        var isOver = false
        /// Milliseconds of each.
        var chunks: [Double] = []
        var failure: (any Error)?
    }

    private let state = Mutex(State())
    private let ended = DispatchSemaphore(value: 0)

    init(model: Model, directory: String, home: Int, allowed: [Int], workload: LeasedSteps.Workload) {
        let thread = Thread { [self] in
            do {
                try work(model, directory, home, allowed, workload)
            } catch { state.withLock { $0.failure = error } }
            ended.signal()
        }
        thread.stackSize = 8 << 20
        thread.start()
    }

    private func work(
        _ model: Model, _ directory: String, _ home: Int, _ allowed: [Int], _ workload: LeasedSteps.Workload
    ) throws {
        let team = try ThreadTeam(maxThreads: allowed.count), board = try LeaseFile(directory: directory, allowed: allowed)
        try board.makeHome(on: [home])
        let crew = try LentCrew(
            team: team, rules: CoreLeases.Rules(homes: [home], maxCores: allowed.count), board: board,
            clock: CoreLeaseBenchmark.now)
        let steps = try LeasedSteps(model: model, team: team, workloads: [workload])
        while !state.withLock({ $0.isOver }) {
            let time = try steps.run(workload, on: crew) / .milliseconds(1)
            state.withLock { $0.chunks.append(time) }
        }
        crew.rest()
    }

    /// - Returns: how long each chunk took, in milliseconds.
    /// - Throws: what ended it before.
    func stop() throws -> [Double] {
        state.withLock { $0.isOver = true }
        ended.wait()
        return try state.withLock { state in
            if let failure = state.failure { throw failure }
            return state.chunks
        }
    }
}

extension LeasedSteps.Workload {
    var name: String {
        switch self {
        case .prefill(let tokens): "prefill \(tokens)"
        case .decode(let rows, let context): "decode B=\(rows), \(context) keys"
        }
    }
}
