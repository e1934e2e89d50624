/// Measures one cell, or the engine beside it.
public protocol CellMeasuring: Sendable {
    /// - Parameter peakBlocks: that the same cell used without a limit on its memory, for one that has a share of it.
    func measure(_ cell: Cell, peakBlocks: Int?) async throws -> CellResult
    func rates(_ key: RatesResult.Key) async throws -> EngineRates
}

/// Goes through a plan, keeps every result at once, and skips what an earlier session has kept.
public struct BenchmarkSession: Sendable {
    public let plan: ExperimentPlan
    /// Those of the plan that this build can serve.
    public let arms: Set<ServingArm>
    public let store: ResultStore
    public let build: String
    let bench: any CellMeasuring
    /// Why cells are missing whose arm the build does not have.
    public static let notServed = "this build cannot serve it"
    /// Seconds on a clock that goes on.
    let now: @Sendable () -> Double
    let report: @Sendable (Progress) -> Void

    public enum Progress: Sendable {
        case measuring(Cell, done: Int, of: Int)
        case failed(Cell, String)
        /// Time is up; so many cells are left.
        case stopped(left: Int)
    }

    public init(
        plan: ExperimentPlan, arms: Set<ServingArm>, store: ResultStore, build: String, bench: any CellMeasuring,
        now: @escaping @Sendable () -> Double, report: @escaping @Sendable (Progress) -> Void
    ) {
        self.plan = plan
        self.arms = arms
        self.store = store
        self.build = build
        self.bench = bench
        self.now = now
        self.report = report
    }

    /// Measures what is missing. A cell that cannot be measured is named and does not keep the others from it.
    /// - Parameter deadline: on the session's clock; no cell begins that took longer than what is left when it, or the
    ///   longest so far, was measured.
    /// - Returns: what there is now, of this session and earlier ones.
    /// - Throws: if a result cannot be stored.
    public func run(until deadline: Double?) async throws -> ResultSet {
        var failures: [String: String] = [:]
        var longest = 0.0
        let cells = plan.cells
        for (index, cell) in cells.enumerated() {
            guard arms.contains(cell.arm) else {
                failures[cell.name] = Self.notServed
                continue
            }
            if store.result(of: cell, build: build) != nil { continue }
            if let deadline, now() + longest > deadline {
                report(.stopped(left: cells[index...].count { store.result(of: $0, build: build) == nil && arms.contains($0.arm) }))
                break
            }
            report(.measuring(cell, done: index, of: cells.count))
            let began = now()
            do {
                try await measure(cell)
            } catch let error as StoreError {
                throw error.cause
            } catch {
                failures[cell.name] = "\(error)"
                report(.failed(cell, "\(error)"))
            }
            longest = max(longest, now() - began)
        }
        return stored(failures: failures)
    }

    /// What earlier sessions have kept.
    public func stored(failures: [String: String] = [:]) -> ResultSet {
        let cells = plan.cells
        var keys: [RatesResult.Key] = []
        for cell in cells where !keys.contains(RatesResult.Key(cell)) { keys.append(RatesResult.Key(cell)) }
        var failures = failures
        for cell in cells where !arms.contains(cell.arm) { failures[cell.name] = Self.notServed }
        return ResultSet(
            planned: cells, results: cells.compactMap { store.result(of: $0, build: build) },
            rates: keys.compactMap { key in store.rates(of: key, build: build).map { RatesResult(key: key, build: build, rates: $0) } },
            longSession: store.longSession(build: build), failures: failures)
    }

    private func measure(_ cell: Cell) async throws {
        let key = RatesResult.Key(cell)
        // Only cells with a steady window are held against the engine's rates.
        if cell.load == .replenished, store.rates(of: key, build: build) == nil {
            let rates = try await bench.rates(key)
            try keep { try store.store(RatesResult(key: key, build: build, rates: rates)) }
        }
        var peakBlocks: Int?
        if cell.memoryShare != nil {
            var free = cell
            free.memoryShare = nil
            guard let result = store.result(of: free, build: build) else { throw MissingPeak() }
            peakBlocks = result.cluster.peakDecodeBlocks
        }
        let result = try await bench.measure(cell, peakBlocks: peakBlocks)
        try keep { try store.store(result) }
    }

    private func keep(_ work: () throws -> Void) throws {
        do { try work() } catch { throw StoreError(cause: error) }
    }

    /// The disk's fault, which no other cell would escape.
    private struct StoreError: Error { var cause: any Error }

    private struct MissingPeak: Error, CustomStringConvertible {
        var description: String { "the run without a limit, of whose memory this is a share, is missing" }
    }
}
