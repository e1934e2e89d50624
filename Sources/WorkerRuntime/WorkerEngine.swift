import ClusterCore
import Foundation
import Generation
import Grammar
import Inference
import Kernels
import LentCores
import Logging
import Synchronization
import Transport

/// The engine with its KV pool and sampler, as a worker uses it: steps of the core in, samples out.
///
/// Belongs to the engine's thread.
final class WorkerEngine {
    /// Facts about the engine that others may know.
    struct Facts: Sendable {
        var kv: KVCache
        var identity: EngineIdentity
        var geometry: KVGeometry
        var maxModelLength: Int
        var weightByteCount: Int
        var kernels: String
        /// Where the packed weights are.
        var weights: WeightCache.Outcome
        var leaseMeter: LeaseMeter
        /// Where grammars are compiled.
        var grammars: GrammarShop
    }

    /// What the engine had of other workers' cores, up to its last step.
    final class LeaseMeter: Sendable {
        private let latest = Mutex(CoreLeaseCounters())

        var counters: CoreLeaseCounters { latest.withLock { $0 } }
        fileprivate func set(_ counters: CoreLeaseCounters) { latest.withLock { $0 = counters } }
    }

    let facts: Facts
    private let engine: Engine
    private let crew: any EngineCrew
    private let sampler: BatchSampler
    private let constraints: RowConstraints<AttemptID>
    private var batch = TokenBatch()

    /// Loads the model and computes the canary; takes seconds for a large model.
    /// - Throws: `ModelError`, `KernelError`, `LeaseFileError`, ``WorkerError/kvCacheTooSmall(bytes:needed:)``.
    /// - Parameter progress: called with the share of the weights packed, 0 ... 1.
    init(_ configuration: WorkerConfiguration, progress: (Double) -> Void) throws {
        let environment = ProcessInfo.processInfo.environment
        let kernels = try KernelSet.select(environment: environment)
        let (team, crew) = try configuration.makeCrew()
        self.crew = crew
        // Packing weights is work too, but of one piece.
        crew.begin(borrowing: false)
        defer {
            crew.end()
            crew.rest()
            // What this thread wakes before its first step may start threads, and these would inherit its core.
            try? team.place(on: [])
        }
        let threads = crew.threads
        let model = try Model(
            path: configuration.model, format: configuration.weightFormat, kernels: kernels, team: team,
            threads: threads, float32Path: try Float32Path.select(environment: environment), cache: configuration.weightCache,
            progress: progress)
        engine = try Engine(model: model, team: team)
        engine.sharedAttention = configuration.sharedAttention
        sampler = BatchSampler(kernels: kernels, team: team)

        let grammars = GrammarShop(model: configuration.model)
        constraints = RowConstraints(grammars, rowCapacity: 8 * configuration.maxSequences)
        let layout = model.kvLayout(blockSize: configuration.blockSize, format: configuration.kvFormat)
        let shape = model.configuration
        let needed = layout.byteCount * shape.layerCount
        let blockCount = min(configuration.kvCacheBytes / needed, Int(Int32.max))
        guard blockCount >= 1 else {
            throw WorkerError.kvCacheTooSmall(bytes: configuration.kvCacheBytes, needed: needed)
        }
        let room = min(shape.maxPositions, blockCount * configuration.blockSize)
        facts = Facts(
            kv: try KVCache(layout: layout, layerCount: shape.layerCount, blockCount: blockCount),
            identity: try engine.identity(kvFormat: configuration.kvFormat, threads: threads),
            geometry: KVGeometry(
                layerCount: shape.layerCount, blockSize: configuration.blockSize, keyValueHeads: shape.kvHeadCount,
                headDimension: shape.headDim, bytesPerElement: layout.format.byteCount, bytesPerScale: layout.scaleByteCount),
            maxModelLength: min(room, configuration.maxModelLength ?? room), weightByteCount: model.weightByteCount,
            kernels: KernelSet.explanation(environment: environment), weights: model.cacheOutcome,
            leaseMeter: LeaseMeter(), grammars: grammars)
    }

    /// What a step brings.
    struct Outcome: Sendable {
        /// Of rows, then of chunks, in order.
        var samples: [Sample]
        /// Of the chunks that asked for them, in order.
        var scores: [ChunkScores]
    }

    /// Logit rows in memory at a time; a prompt that is scored has as many as tokens.
    private static let logitSlice = 64

    /// - Parameter onLayer: as in `Engine.forward`.
    func run(_ step: PrefillStep, onLayer: (Int) -> Void) -> Outcome {
        batch.removeAll()
        var agenda = agenda
        append(step.chunks, to: &agenda)
        return run(agenda, onLayer)
    }

    /// - Returns: one sample for each row, in order.
    func run(_ iteration: DecodeIteration) -> [Sample] {
        batch.removeAll()
        var agenda = agenda
        append(iteration.rows, to: &agenda)
        return run(agenda) { _ in }.samples
    }

    func run(_ step: MixedStep) -> Outcome {
        batch.removeAll()
        var agenda = agenda
        append(step.rows, to: &agenda)
        append(step.chunks, to: &agenda)
        for padding in step.padding { batch.appendPadding(count: padding.count, at: Int32(padding.start), in: facts.kv) }
        return run(agenda) { _ in }
    }

    /// Nothing is to be done for now: others may have the cores.
    func rest() { crew.rest() }

    /// Whether others would compute prompts on this engine's cores.
    var areOthersKeen: Bool { crew.areOthersKeen }

    private var agenda: StepAgenda {
        StepAgenda { [constraints] attempt, context in
            guard let constraint = context.constraint else { return nil }
            let answer = (context.history ?? []).dropFirst(context.promptCount)
            return constraints.mask(
                of: RowConstraints.Row(
                    id: attempt, constraint: OutputConstraint(constraint), answer: answer, endTokens: context.endTokens))
        }
    }

    private func append(_ chunks: [PrefillStep.Chunk], to agenda: inout StepAgenda) {
        for chunk in chunks {
            let scored = chunk.scoring.map { $0.first - 1 - chunk.start..<$0.first - 1 - chunk.start + $0.targets.count }
            batch.append(
                chunk.tokens, at: Int32(chunk.start), blockTable: chunk.blockTable.map { Int32($0.rawValue) },
                logits: .within(scored ?? 0..<0, last: !chunk.samples.isEmpty))
            agenda.append(chunk, logitRowCount: batch.logitRows.count)
        }
    }

    private func append(_ rows: [DecodeIteration.Row], to agenda: inout StepAgenda) {
        for row in rows {
            batch.append(
                CollectionOfOne(row.input), at: Int32(row.position),
                blockTable: row.blockTable.map { Int32($0.rawValue) })
            agenda.append(row, logitRowCount: batch.logitRows.count)
        }
    }

    private func run(_ agenda: StepAgenda, _ onLayer: (Int) -> Void) -> Outcome {
        crew.begin(borrowing: true)
        defer {
            crew.end()
            facts.leaseMeter.set(crew.counters)
        }
        do {
            var results: [Result<ScoredToken, SamplingError>] = []
            try engine.forward(
                batch, kv: facts.kv, crew: crew.relieve, onLayer: onLayer, logitSlice: Self.logitSlice
            ) { logits, rows in
                results += sampler.perform(agenda.work(on: rows), on: logits, threads: crew.relieve())
            }
            return agenda.outcome(results.map { $0.mapError { SampleFailure("\($0)") } })
        } catch {
            // Nothing was computed: a programmer's error somewhere, but no reason to end the process.
            return agenda.outcome(Array(repeating: .failure(SampleFailure("\(error)")), count: agenda.count))
        }
    }
}

extension WorkerEngine.Facts {
    func registration(_ configuration: WorkerConfiguration, endpoint: Endpoint, bootNonce: UInt64) -> Registration {
        Registration(
            worker: configuration.worker, role: configuration.role, bootNonce: bootNonce, endpoint: "\(endpoint)",
            numerics: NumericsClass(
                modelHash: identity.modelHash, weightFormat: identity.weightFormat, kvFormat: identity.kvFormat,
                kernelFamily: identity.kernelFamily, canary: identity.canary),
            geometry: geometry, blockCount: kv.blockCount, maxSequences: configuration.maxSequences,
            maxModelLength: maxModelLength)
    }
}

extension WorkerEngine {
    /// Loads an engine on a thread of its own and says in the log what it runs.
    static func start(
        _ configuration: WorkerConfiguration, logger: Logger
    ) async throws -> (ConfinedThread<WorkerEngine>, Facts) {
        logger.info("loading \(configuration.model)")
        let began = ContinuousClock.now
        let allowed = ThreadTeam.allowedCores.count
        if configuration.threads > allowed {
            logger.warning("--threads \(configuration.threads): this process may run on \(allowed) cores, and uses no more threads")
        }
        let rest = ConfinedThread<WorkerEngine>.Rest(after: .milliseconds(2)) { $0.rest() }
        let thread = try await ConfinedThread.start(name: "engine", rest: rest) {
            try WorkerEngine(configuration) { configuration.onPacking($0) }
        }
        let facts = await withCheckedContinuation { done in thread.submit { done.resume(returning: $0.facts) } }
        logger.info(
            """
            ready after \(ContinuousClock.now - began): \(facts.identity), kernels \(facts.kernels); \
            \(facts.weightByteCount >> 20) MiB of weights \(facts.weights), \(facts.kv.blockCount) KV blocks of \(facts.kv.bytesPerBlock) bytes
            """)
        return (thread, facts)
    }
}

extension WorkerConfiguration {
    /// The threads that this configuration asks for, on the calling thread.
    fileprivate func makeCrew() throws -> (ThreadTeam, any EngineCrew) {
        let allowed = ThreadTeam.allowedCores
        // Threads that share a core wait for each other in every kernel.
        let threads = min(threads, max(1, allowed.count))
        guard let coreLeases else {
            let team = try ThreadTeam(maxThreads: threads)
            return (team, try FixedCrew(team: team, threads: threads, cores: Array(cores.prefix(threads))))
        }
        let team = try ThreadTeam(maxThreads: max(threads, min(maxThreads ?? allowed.count, allowed.count)))
        let board = try LeaseFile(directory: coreLeases, allowed: allowed)
        var homes = Array(cores.prefix(threads))
        if homes.isEmpty { homes = try board.makeHome(count: threads) } else { try board.makeHome(on: homes) }
        var rules = CoreLeases.Rules(homes: homes, maxCores: team.maxThreads)
        rules.isKeen = role == .prefill
        return (team, try LentCrew(team: team, rules: rules, board: board) { .now })
    }

    /// Where others reach a socket that is bound to `bound`.
    func advertisedEndpoint(bound: Endpoint) throws -> Endpoint {
        if let advertise { return advertise }
        guard bound.isWildcardHost else { return bound }
        return try bound.withHost(ProcessInfo.processInfo.hostName)
    }
}
