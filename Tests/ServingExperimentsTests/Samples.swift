import Foundation

@testable import ServingExperiments

/// Results made up for tests.
enum Samples {
    static let workload = Workload(name: "tiny", prompts: .constant(10), outputs: .constant(4))

    static func cell(
        _ arm: ServingArm = .baton, experiment: Experiment = .batchSizes, batch: Int = 2, run: Int = 0, queries: Int = 4,
        workload: Workload = workload, memoryShare: Double? = nil, load: Cell.Load = .replenished
    ) -> Cell {
        Cell(
            experiment: experiment, arm: arm, batch: batch, workload: workload, queryCount: queries, load: load, seed: 42, run: run,
            memoryShare: memoryShare)
    }

    /// - Parameter speed: queries per second.
    static func result(_ cell: Cell, speed: Double = 1, build: String = "b", isExact: Bool = true) -> CellResult {
        let records = (0..<cell.queryCount).map { number in
            let begin = Double(number) / speed
            return QueryRecord(
                isUrgent: cell.workload.urgentShare > 0 && number % 2 == 0, promptCount: 10, submitted: 0,
                tokenTimes: (0..<4).map { begin + (1 + Double($0)) / speed }, queued: begin, exposedTransfer: 0.01 / speed, attempts: 1,
                isExact: isExact)
        }
        guard let measures = CellMeasures(records, batch: cell.batch) else { preconditionFailure("records without tokens") }
        return CellResult(
            cell: cell, build: build, time: 0, measures: measures,
            cluster: ClusterMeasures(
                tokenRows: 100, idleRows: 5, stallSeconds: 0.5, peakKVBytes: 3 << 20, peakDecodeBlocks: 40, wireBytes: 7 << 20,
                memory: [.init(seconds: 0, kvBytes: 1 << 20, residentBytes: 5), .init(seconds: 1, kvBytes: 3 << 20, residentBytes: 5)]))
    }

    static let rates = EngineRates(
        prefillOnOne: 100, prefillOnTwo: 200, decodeOnOne: 10, decodeOnTwo: 12, sideBySide: .init(prefill: 90, decode: 9),
        together: [.init(prefill: 180, decode: 12)])

    static func plan(arms: [ServingArm] = [.baton, .mixed], experiments: [Experiment] = [.batchSizes], runs: Int = 2) -> ExperimentPlan {
        ExperimentPlan(
            experiments: experiments, arms: arms, batches: [2], seeds: [42], runs: runs, queryCount: 4, workloads: [workload],
            skewed: [workload], formats: [("int8", "int8")])
    }

    static func withStore(_ body: (ResultStore) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("results-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        try await body(try ResultStore(directory: directory))
    }
}
