import ClusterCore
import Generation
import Inference
import Logging
import Transport
import Wire

/// A decode worker: receives KV, runs the batch, reports tokens. What to do is ``DecodeRole``'s to decide.
public actor DecodeWorker {
    private let configuration: WorkerConfiguration
    private let thread: SocketThread
    private let engine: ConfinedThread<WorkerEngine>
    private let facts: WorkerEngine.Facts
    private let logger: Logger
    private var role: DecodeRole?
    private var epoch = ClusterEpoch(0)
    private var coordinator: CoordinatorLink?
    private var receiver: KVReceiver?
    private var isIterating = false
    /// Reset was asked for while an iteration ran.
    private var isReleasing = false
    private var wakeUp: SocketThread.Timer?
    private var end = WorkerEnd()

    public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Loads the model and binds the KV socket; ``run()`` joins the cluster.
    public static func start(_ configuration: WorkerConfiguration, logger: Logger) async throws -> DecodeWorker {
        let (engine, facts) = try await WorkerEngine.start(configuration, logger: logger)
        let worker = try DecodeWorker(configuration, engine: engine, facts: facts, logger: logger)
        try await worker.open()
        return worker
    }

    private init(
        _ configuration: WorkerConfiguration, engine: ConfinedThread<WorkerEngine>, facts: WorkerEngine.Facts,
        logger: Logger
    ) throws {
        self.configuration = configuration
        self.engine = engine
        self.facts = facts
        self.logger = logger
        thread = try SocketThread(name: "decode-sockets")
    }

    private func open() throws {
        let receiver = try KVReceiver(
            thread: thread, bind: configuration.listen, security: configuration.security,
            maxFrameBytes: max(4096, facts.geometry.bytesPerLayerBlock), logger: logger,
            handler: KVReceiver.Handler(
                message: { [weak self] peer, message in self?.assumeIsolated { $0.feed(.kv(peer, message)) } },
                destination: { [weak self, kv = facts.kv] peer, blocks in
                    let targets = self?.assumeIsolated { $0.destination(of: blocks, from: peer) } ?? nil
                    return targets?.map { kv.mutableBytes(layer: blocks.range.layer, block: Int32($0.rawValue)) }
                },
                stored: { [weak self] peer, blocks, isIntact in
                    self?.assumeIsolated { $0.feed(isIntact ? .blocksStored(peer, blocks) : .blocksCorrupt(peer, blocks)) }
                },
                welcome: { [weak self] in
                    self?.assumeIsolated { $0.welcome }
                        ?? KVWelcome(worker: WorkerID(""), epoch: ClusterEpoch(0), modelHash: "", isRegistered: false)
                }))
        self.receiver = receiver
        let bound = receiver.endpoint ?? configuration.listen
        let registration = facts.registration(
            configuration, endpoint: try configuration.advertisedEndpoint(bound: bound), bootNonce: .random(in: 1 ... .max))
        coordinator = try CoordinatorLink(
            thread: thread, endpoint: configuration.coordinator, security: configuration.security,
            registration: registration, logger: logger,
            load: { [weak self] in self?.assumeIsolated { $0.role?.load } ?? WorkerLoad() },
            handle: { [weak self] event in self?.assumeIsolated { $0.receive(event) } })
        logger.info("listening on \(bound), advertised as \(registration.endpoint)")
    }

    /// Serves until ``drain()`` is done.
    /// - Throws: ``WorkerError/refused(_:)``.
    public func run() async throws {
        try await withCheckedThrowingContinuation { end.add($0) }
    }

    /// Takes nothing new, finishes what it holds, then ends ``run()``. Called again, it ends at once.
    public func drain() {
        guard !end.isDraining, coordinator?.isRegistered == true else { return close(.success(())) }
        end.isDraining = true
        logger.info("draining")
        coordinator?.report([.leaving])
        awaitIdleness(since: nil)
    }

    private var welcome: KVWelcome {
        KVWelcome(
            worker: configuration.worker, epoch: epoch, modelHash: facts.identity.modelHash, isRegistered: role != nil)
    }
}

// MARK: - What arrives

extension DecodeWorker {
    private func receive(_ event: CoordinatorLink.Event) {
        switch event {
        case .registered(let cluster, let worker):
            epoch = cluster
            role = DecodeRole(
                DecodeRole.Configuration(
                    clusterEpoch: cluster, workerEpoch: worker, modelHash: facts.identity.modelHash,
                    geometry: facts.geometry, blockCount: facts.kv.blockCount,
                    maxSequences: configuration.maxSequences, maxModelLength: facts.maxModelLength))
            logger.info("registered with cluster \(cluster) as \(worker)")
            if end.isDraining { coordinator?.report([.leaving]) }
        case .deliver(let message): feed(.message(message))
        case .reset(let reason):
            logger.warning("starting over: \(reason)")
            isReleasing = true
            releaseIfIdle()
        case .refused(let reason): close(.failure(WorkerError.refused(reason)))
        }
    }

    private func destination(of blocks: KVBlocks, from peer: PeerID) -> [BlockID]? {
        guard let role, !isReleasing else { return nil }
        switch role.destination(for: blocks) {
        case .success(let targets): return targets
        case .failure(let refusal):
            feed(.blocksRefused(peer, blocks, refusal))
            return nil
        }
    }

    private func feed(_ event: DecodeRole.Event) {
        guard !isReleasing, let actions = role?.handle(event, at: .now) else { return }
        carryOut(actions)
        iterate()
        rearm()
    }

    private func carryOut(_ actions: [DecodeRole.Action]) {
        var reports: [WorkerMessage] = []
        for action in actions {
            switch action {
            case .reply(let peer, let reply): receiver?.reply(reply, to: peer)
            case .report(let message): reports.append(message)
            case .copyBlock(let source, let target):
                facts.kv.copyBlock(Int32(source.rawValue), to: Int32(target.rawValue))
            }
        }
        coordinator?.report(reports)
    }

    private func rearm() {
        wakeUp?.cancel()
        guard let time = role?.timeOfNextWakeUp else { return }
        wakeUp = thread.schedule(at: time) { [weak self] in self?.assumeIsolated { $0.feed(.tick) } }
    }
}

// MARK: - Iterations

extension DecodeWorker {
    private func iterate() {
        guard !isIterating, let (iteration, actions) = role?.nextIteration(at: .now) else { return }
        carryOut(actions)
        guard let iteration else { return }
        isIterating = true
        engine.submit { [weak self, thread] engine in
            let samples = engine.run(iteration)
            thread.run { [weak self] in self?.assumeIsolated { $0.finishIteration(samples) } }
        }
    }

    private func finishIteration(_ samples: [Sample]) {
        isIterating = false
        if isReleasing { return releaseIfIdle() }
        feed(.iterationFinished(samples))
    }

    /// Drops the role once the engine reads none of its blocks.
    private func releaseIfIdle() {
        guard !isIterating else { return }
        role = nil
        wakeUp?.cancel()
        isReleasing = false
        coordinator?.released()
    }

    private func awaitIdleness(since: Instant?) {
        let load = role?.load ?? WorkerLoad()
        let isIdle = load.rows == 0 && load.waiting == 0 && load.referencedBlocks == 0
        let start = isIdle ? since ?? .now : nil
        // What was ordered before the coordinator heard of the leaving may still be under way.
        if let start, Instant.now - start > WorkerEnd.quietTime { return close(.success(())) }
        _ = thread.schedule(at: .now + .milliseconds(50)) { [weak self] in
            self?.assumeIsolated { $0.awaitIdleness(since: start) }
        }
    }

    private func close(_ result: Result<Void, any Error>) {
        guard !end.hasCome else { return }
        wakeUp?.cancel()
        role = nil
        coordinator?.close()
        receiver?.close()
        engine.stop()
        end.finish(result)
    }
}
