import Foundation
import Inference
import Kernels
import ServingExperiments

/// Measures the cells of `baton bench batchllm` with one model.
struct BatchBench: BatchCellMeasuring {
    /// Programs and model.
    let build: String
    private let runner: BatchCellRunner

    /// - Throws: an error that names a program which is not there, or what is wrong with the model.
    init(model path: String, launcher: BenchLauncher, results: URL) throws {
        build = try BatonBench.build(model: path)
        let environment = ProcessInfo.processInfo.environment
        let team = try ThreadTeam(maxThreads: launcher.cores.count)
        let model = try Model(
            path: path, format: .auto, kernels: try KernelSet.select(environment: environment), team: team, threads: launcher.cores.count,
            float32Path: try Float32Path.select(environment: environment), cache: .automatic)
        let references = ReferenceAnswers(model: model, kvFormat: .auto, cores: launcher.cores, directory: results)
        runner = BatchCellRunner(launcher: launcher, model: model, references: references, build: build)
    }

    func measure(_ cell: BatchCell) async throws -> BatchCellResult { try await runner.measure(cell) }
}
