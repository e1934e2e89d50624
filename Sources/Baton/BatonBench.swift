import Foundation
import Inference
import Kernels
import ServingExperiments
import Synchronization

/// Measures the cells of `baton bench baton` with one model, in the number formats that they ask for.
final class BatonBench: CellMeasuring {
    /// A model in one number format, in this process: for rates and references.
    private struct Loaded: Sendable {
        var runner: CellRunner
        var probe: RateProbe
    }

    private struct Format: Hashable {
        var weights: String
        var kv: String
    }

    /// Programs and model.
    let build: String
    private let model: String
    private let launcher: BenchLauncher
    private let results: URL
    private let traces: URL?
    private let rateSeconds: Double
    private let loaded = Mutex<[Format: Loaded]>([:])

    /// - Parameter rateSeconds: length of each measurement of the engine.
    /// - Throws: an error that names a program which is not there, or what is wrong with the model.
    init(model: String, launcher: BenchLauncher, results: URL, traces: URL?, rateSeconds: Double) throws {
        self.model = model
        self.launcher = launcher
        self.results = results
        self.traces = traces
        self.rateSeconds = rateSeconds
        build = try Self.build(model: model)
    }

    /// - Throws: an error that names a program which is not there, or what is wrong with the model.
    static func build(model: String) throws -> String {
        let programs = ["coordinator", "prefill-worker", "decode-worker", "mixed-worker"]
        let (size, hash) = try fingerprint(of: model)
        return try BuildIdentity.of(
            programs: programs.map { ClusterOptions.programs.appendingPathComponent($0) }, model: "\(size) \(hash)")
    }

    /// The configuration and the size of the weights: enough to tell models of random weights apart without reading them.
    private static func fingerprint(of model: String) throws -> (Int, String) {
        let configuration = try ModelConfiguration(path: model)
        var size = (try? FileManager.default.attributesOfItem(atPath: model)[.size] as? Int) ?? 0
        if let weights = try? FileManager.default.attributesOfItem(atPath: model + "/model.safetensors")[.size] as? Int { size = weights }
        return (size, "\(configuration)")
    }

    func measure(_ cell: Cell, peakBlocks: Int?) async throws -> CellResult {
        try await load(cell.weights, cell.kv).runner.run(cell, peakBlocks: peakBlocks)
    }

    func rates(_ key: RatesResult.Key) async throws -> EngineRates {
        try await load(key.weights, key.kv).probe.measure(key.workload, batch: key.batch)
    }

    /// Packed weights are mapped, so that keeping several formats costs address space only.
    private func load(_ weights: String, _ kv: String) throws -> Loaded {
        let format = Format(weights: weights, kv: kv)
        if let known = loaded.withLock({ $0[format] }) { return known }
        let environment = ProcessInfo.processInfo.environment
        let team = try ThreadTeam(maxThreads: launcher.cores.count)
        let model = try Model(
            path: self.model, format: WeightFormat(rawValue: weights) ?? .auto, kernels: try KernelSet.select(environment: environment),
            team: team, threads: launcher.cores.count, float32Path: try Float32Path.select(environment: environment), cache: .automatic)
        let kvFormat = KVFormat(rawValue: kv) ?? .auto
        let references = ReferenceAnswers(model: model, kvFormat: kvFormat, cores: launcher.cores, directory: results)
        let new = Loaded(
            runner: CellRunner(launcher: launcher, model: model, references: references, build: build, traces: traces),
            probe: RateProbe(model: model, kvFormat: kvFormat, cores: launcher.cores, seconds: rateSeconds))
        loaded.withLock { $0[format] = new }
        return new
    }
}
