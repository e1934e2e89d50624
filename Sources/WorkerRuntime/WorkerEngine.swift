import ClusterCore
import Foundation
import Generation
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
        sampler = BatchSampler(kernels: kernels, team: team)

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
            leaseMeter: LeaseMeter())
    }

    /// - Parameter onLayer: as in `Engine.forward`.
    /// - Returns: one sample for each chunk that asks for one, in order.
    func run(_ step: PrefillStep, onLayer: (Int) -> Void) -> [Sample] {
        batch.removeAll()
        append(step.chunks)
        return sample(wanted(by: step.chunks), onLayer)
    }

    /// - Returns: one sample for each row, in order.
    func run(_ iteration: DecodeIteration) -> [Sample] {
        batch.removeAll()
        append(iteration.rows)
        return sample(wanted(by: iteration.rows)) { _ in }
    }

    /// - Returns: one sample for each row, then for each chunk that asks for one, in order.
    func run(_ step: MixedStep) -> [Sample] {
        batch.removeAll()
        append(step.rows)
        append(step.chunks)
        for padding in step.padding { batch.appendPadding(count: padding.count, at: Int32(padding.start), in: facts.kv) }
        return sample(wanted(by: step.rows) + wanted(by: step.chunks)) { _ in }
    }

    /// Nothing is to be done for now: others may have the cores.
    func rest() { crew.rest() }

    private func append(_ chunks: [PrefillStep.Chunk]) {
        for chunk in chunks {
            batch.append(
                chunk.tokens, at: Int32(chunk.start), blockTable: chunk.blockTable.map { Int32($0.rawValue) },
                logits: chunk.sampling == nil ? .none : .last)
        }
    }

    private func append(_ rows: [DecodeIteration.Row]) {
        for row in rows {
            batch.append(
                CollectionOfOne(row.input), at: Int32(row.position),
                blockTable: row.blockTable.map { Int32($0.rawValue) })
        }
    }

    private func wanted(by chunks: [PrefillStep.Chunk]) -> [(AttemptID, SamplingContext)] {
        chunks.compactMap { chunk in chunk.sampling.map { (chunk.attempt, $0) } }
    }

    private func wanted(by rows: [DecodeIteration.Row]) -> [(AttemptID, SamplingContext)] {
        rows.map { ($0.attempt, $0.sampling) }
    }

    private func sample(_ wanted: [(AttemptID, SamplingContext)], _ onLayer: (Int) -> Void) -> [Sample] {
        crew.begin(borrowing: true)
        defer {
            crew.end()
            facts.leaseMeter.set(crew.counters)
        }
        do {
            let logits = try engine.forward(batch, kv: facts.kv, crew: crew.relieve, onLayer: onLayer)
            let tokens = sampler.sample(logits, rows: wanted.map { BatchSampler.Row($0.1) }, threads: crew.relieve())
            return zip(wanted, tokens).map { row, token in
                Sample(attempt: row.0, token: token.mapError { SampleFailure("\($0)") })
            }
        } catch {
            // Nothing was computed: a programmer's error somewhere, but no reason to end the process.
            return wanted.map { Sample(attempt: $0.0, token: .failure(SampleFailure("\(error)"))) }
        }
    }
}

extension BatchSampler.Row {
    init(_ context: SamplingContext) {
        let history = context.history ?? [], promptCount = min(context.promptCount, history.count)
        self.init(
            parameters: context.parameters, prompt: Array(history[..<promptCount]), generated: Array(history[promptCount...]),
            index: UInt32(clamping: context.index))
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
        let rules = CoreLeases.Rules(homes: homes, maxCores: team.maxThreads)
        return (team, try LentCrew(team: team, rules: rules, board: board) { .now })
    }

    /// Where others reach a socket that is bound to `bound`.
    func advertisedEndpoint(bound: Endpoint) throws -> Endpoint {
        if let advertise { return advertise }
        guard bound.isWildcardHost else { return bound }
        return try bound.withHost(ProcessInfo.processInfo.hostName)
    }
}
