import ClusterCore
import Generation
import Inference
import Logging
import Transport
import Wire

/// A mixed worker: computes prompts and runs the batch in the same steps; no KV leaves or enters it. What to do is
/// ``MixedRole``'s to decide.
public actor MixedWorker: MemoryAware {
    let configuration: WorkerConfiguration
    let thread: SocketThread
    let engine: ConfinedThread<WorkerEngine>
    let facts: WorkerEngine.Facts
    let logger: Logger
    private var role: MixedRole?
    private(set) var epoch = ClusterEpoch(0)
    var coordinator: CoordinatorLink?
    /// Nobody sends KV here; the socket answers who is there.
    var receiver: KVReceiver?
    private let parking: ParkingDesk
    private var isComputing = false
    /// Reset was asked for; the role lives on until neither engine nor parking store touches its blocks.
    private var isReleasing = false
    private var wakeUp: SocketThread.Timer?
    var end = WorkerEnd()

    public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Loads the model and binds the KV socket; ``run()`` joins the cluster.
    public static func start(_ configuration: WorkerConfiguration, logger: Logger) async throws -> MixedWorker {
        let (engine, facts) = try await WorkerEngine.start(configuration, logger: logger)
        let store = try await ConfinedThread<ParkingStore>.start(configuration, facts, logger: logger)
        let worker = try MixedWorker(configuration, engine: engine, facts: facts, store: store, logger: logger)
        try await worker.joinClusterWithoutKV()
        await worker.watchMemory()
        return worker
    }

    private init(
        _ configuration: WorkerConfiguration, engine: ConfinedThread<WorkerEngine>, facts: WorkerEngine.Facts,
        store: ConfinedThread<ParkingStore>, logger: Logger
    ) throws {
        self.configuration = configuration
        self.engine = engine
        self.facts = facts
        self.logger = logger
        thread = try SocketThread(name: "mixed-sockets")
        parking = ParkingDesk(thread: thread, store: store, modelHash: facts.identity.modelHash)
    }

    /// Serves until ``drain()`` is done.
    /// - Throws: ``WorkerError/refused(_:)``.
    public func run() async throws { try await serve() }

    /// Takes nothing new, finishes what it holds, then ends ``run()``. Called again, it ends at once.
    public func drain() { leave() }

    var load: WorkerLoad? { load(of: role?.load) }

    func take(_ memory: BatchScale.Memory) { feed(.memory(memory)) }
}

// MARK: - What arrives

extension MixedWorker {
    func receive(_ event: CoordinatorLink.Event) {
        switch event {
        case .registered(let cluster, let worker):
            epoch = cluster
            role = MixedRole(
                MixedRole.Configuration(
                    decode: DecodeRole.Configuration(
                        clusterEpoch: cluster, workerEpoch: worker, modelHash: facts.identity.modelHash,
                        geometry: facts.geometry, blockCount: facts.kv.blockCount,
                        maxSequences: configuration.maxSequences, maxModelLength: facts.maxModelLength,
                        parking: configuration.parking, scaling: configuration.scaling,
                        backgroundShare: configuration.backgroundShare, cachesPrefixes: configuration.cachesPrefixes),
                    maxBatchedTokens: configuration.maxBatchedTokens, scheduling: configuration.scheduling ?? .mixed))
            noteRegistration(cluster, worker)
        case .deliver(let message):
            prepare(for: message)
            feed(.message(message))
        case .reset(let reason):
            logger.warning("starting over: \(reason)")
            isReleasing = true
            releaseIfQuiescent()
        case .refused(let reason): close(.failure(WorkerError.refused(reason)))
        }
    }

    private func feed(_ event: MixedRole.Event) {
        guard let actions = role?.handle(event, at: .now) else { return }
        goOn(with: actions)
    }

    private func goOn(with actions: [MixedRole.Action]) {
        if isReleasing { return releaseIfQuiescent() }
        carryOut(actions)
        compute()
        rearm()
    }

    private func rearm() {
        wakeUp?.cancel()
        guard let time = role?.timeOfNextWakeUp else { return }
        wakeUp = thread.schedule(at: time) { [weak self] in self?.assumeIsolated { $0.feed(.tick) } }
    }

    private func carryOut(_ actions: [MixedRole.Action]) {
        var reports: [WorkerMessage] = []
        for action in actions {
            switch action {
            case .report(let message): reports.append(message)
            case .copyBlock(let source, let target):
                facts.kv.copyBlock(Int32(source.rawValue), to: Int32(target.rawValue))
            case .releaseMemory(let blocks): facts.kv.releaseMemory(of: blocks.map { Int32($0.rawValue) })
            case .park(let kv):
                parking.park(kv) { [weak self] isStored, time in
                    self?.assumeIsolated {
                        $0.role?.noteParking(took: time)
                        $0.feed(.parkingFinished(kv.id, isStored))
                    }
                }
            case .restore(let kv):
                parking.restore(kv) { [weak self] isIntact, time in
                    self?.assumeIsolated {
                        $0.role?.noteRestoring(took: time)
                        $0.feed(.restoringFinished(kv.id, isIntact))
                    }
                }
            case .discard(let id): parking.discard(id)
            }
        }
        coordinator?.report(reports)
    }
}

// MARK: - Steps

extension MixedWorker {
    private func compute() {
        let began = Instant.now
        guard !isComputing, let (step, actions) = role?.nextStep(at: began) else { return }
        carryOut(actions)
        role?.noteBoundary(took: .now - began)
        guard let step else { return }
        isComputing = true
        engine.submit { [weak self, thread] engine in
            let outcome = engine.run(step)
            thread.run { [weak self] in self?.assumeIsolated { $0.finishStep(outcome) } }
        }
    }

    private func finishStep(_ outcome: WorkerEngine.Outcome) {
        isComputing = false
        let ended = Instant.now
        guard let actions = role?.handle(.stepFinished(outcome.samples, scores: outcome.scores), at: ended) else { return }
        role?.noteEnd(took: .now - ended)
        goOn(with: actions)
    }

    /// Drops the role once neither engine nor parking store touches its blocks.
    private func releaseIfQuiescent() {
        guard role?.isQuiescent ?? true else { return }
        wakeUp?.cancel()
        role = nil
        parking.discardAll()
        isReleasing = false
        coordinator?.released()
    }

    func dropEverything() {
        wakeUp?.cancel()
        role = nil
        parking.stop()
    }
}
