import Generation
import Inference
import Kernels
import Synchronization

/// Measures ``EngineRates`` in this process, on two cores.
public struct RateProbe: Sendable {
    public let model: Model
    public let kvFormat: KVFormat
    /// The two cores.
    public let cores: [Int]
    /// Of each measurement.
    public let seconds: Double

    public init(model: Model, kvFormat: KVFormat, cores: [Int], seconds: Double) {
        precondition(cores.count == 2, "rates are of one core and of two, not of \(cores.count)")
        self.model = model
        self.kvFormat = kvFormat
        self.cores = cores
        self.seconds = seconds
    }

    /// Prompt tokens beside the rows of a step.
    private static let chunks = [16, 64, 256, RateLoop.stepTokens]

    /// Prompts measured: enough to be the workload's mix.
    private static let promptCount = 16

    /// - Throws: `ForwardError` if the workload does not fit the model, `KernelError` if memory or a core is refused.
    public func measure(_ workload: Workload, batch: Int) async throws -> EngineRates {
        let queries = workload.queries(
            count: Self.promptCount, seed: 1, vocabularySize: model.configuration.vocabularySize)
        let work = Work(prompts: queries.map(\.prompt), rows: batch, context: workload.meanContext)
        let one = try await alone(work, on: Array(cores.prefix(1))), two = try await alone(work, on: cores)
        let apart = try await sideBySide(work)
        return EngineRates(
            prefillOnOne: one.prefill, prefillOnTwo: two.prefill, decodeOnOne: one.decode, decodeOnTwo: two.decode,
            sideBySide: apart, together: two.together)
    }

    private struct Work: Sendable {
        var prompts: [[TokenID]]
        var rows: Int
        var context: Int
    }

    private struct Alone: Sendable {
        var prefill: Double
        var decode: Double
        var together: [EngineRates.SideBySide]
    }

    private func alone(_ work: Work, on cores: [Int]) async throws -> Alone {
        try await onTeam(of: cores) { [self] team in
            let loop = try RateLoop(
                model: model, kvFormat: kvFormat, team: team, prompts: work.prompts, rows: work.rows, context: work.context)
            _ = try loop.run(chunk: RateLoop.stepTokens, decode: true, seconds: 0)
            let prefill = try loop.run(chunk: RateLoop.stepTokens, decode: false, seconds: seconds)
            let decode = try loop.run(chunk: 0, decode: true, seconds: seconds)
            let together = try (cores.count > 1 ? Self.chunks : []).map { try loop.run(chunk: $0, decode: true, seconds: seconds) }
            return Alone(prefill: prefill.prefill, decode: decode.decode, together: together)
        }
    }

    /// Two engines over one model in memory, each on its own core, at the same time.
    private func sideBySide(_ work: Work) async throws -> EngineRates.SideBySide {
        let start = StartLine(runners: 2)
        async let prefill = phase(work.prompts, rows: 0, work.context, core: cores[0], start)
        async let decode = phase([], rows: work.rows, work.context, core: cores[1], start)
        return try await EngineRates.SideBySide(prefill: prefill.prefill, decode: decode.decode)
    }

    private func phase(
        _ prompts: [[TokenID]], rows: Int, _ context: Int, core: Int, _ start: StartLine
    ) async throws -> EngineRates.SideBySide {
        try await onTeam(of: [core]) { [self] team in
            let chunk = prompts.isEmpty ? 0 : RateLoop.stepTokens
            // Also after an error: the other one must not wait for ever.
            defer { start.arrive() }
            let loop = try RateLoop(
                model: model, kvFormat: kvFormat, team: team, prompts: prompts, rows: rows, context: context)
            _ = try loop.run(chunk: chunk, decode: rows > 0, seconds: 0)
            start.arriveAndWait()
            return try loop.run(chunk: chunk, decode: rows > 0, seconds: 2 * seconds)
        }
    }
}

/// Where threads wait for one another.
private final class StartLine: Sendable {
    private let runners: Int
    private let arrived = Atomic<Int>(0)

    init(runners: Int) { self.runners = runners }

    func arrive() { arrived.add(1, ordering: .acquiringAndReleasing) }

    func arriveAndWait() {
        arrive()
        // Both are microseconds apart at most: loading and warming up came before.
        while arrived.load(ordering: .acquiring) < runners {}
    }
}
