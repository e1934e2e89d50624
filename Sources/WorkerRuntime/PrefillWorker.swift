import ClusterCore
import Generation
import Inference
import Logging
import Transport
import Wire

/// A prefill worker: computes prompts and streams their KV, layer by layer. What to do is ``PrefillRole``'s to decide.
public actor PrefillWorker: WorkerShell {
    let configuration: WorkerConfiguration
    let thread: SocketThread
    let engine: ConfinedThread<WorkerEngine>
    let facts: WorkerEngine.Facts
    let logger: Logger
    private var role: PrefillRole?
    private(set) var epoch = ClusterEpoch(0)
    var coordinator: CoordinatorLink?
    private var sender: KVSender?
    /// Nobody sends KV here; the socket answers who is there.
    var receiver: KVReceiver?
    private var isComputing = false
    /// Reset was asked for; the role lives on until neither engine nor transport reads its blocks.
    private var isReleasing = false
    private var wakeUp: SocketThread.Timer?
    var end = WorkerEnd()

    public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Loads the model and binds the KV socket; ``run()`` joins the cluster.
    public static func start(_ configuration: WorkerConfiguration, logger: Logger) async throws -> PrefillWorker {
        let (engine, facts) = try await WorkerEngine.start(configuration, logger: logger)
        let worker = try PrefillWorker(configuration, engine: engine, facts: facts, logger: logger)
        try await worker.joinClusterWithoutKV()
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
        thread = try SocketThread(name: "prefill-sockets")
    }

    /// Serves until ``drain()`` is done.
    /// - Throws: ``WorkerError/refused(_:)``.
    public func run() async throws { try await serve() }

    /// Takes nothing new, finishes what it holds, then ends ``run()``. Called again, it ends at once.
    public func drain() { leave() }

    var load: WorkerLoad? { role?.load }
}

// MARK: - What arrives

extension PrefillWorker {
    func receive(_ event: CoordinatorLink.Event) {
        switch event {
        case .registered(let cluster, let worker): join(cluster, worker)
        case .deliver(let message):
            prepare(for: message)
            feed(.message(message))
        case .reset(let reason):
            logger.warning("starting over: \(reason)")
            isReleasing = true
            // Gives back the blocks of messages that wait in its queues.
            sender?.close()
            sender = nil
            releaseIfQuiescent()
        case .refused(let reason): close(.failure(WorkerError.refused(reason)))
        }
    }

    private func join(_ cluster: ClusterEpoch, _ worker: WorkerEpoch) {
        epoch = cluster
        role = PrefillRole(
            PrefillRole.Configuration(
                clusterEpoch: cluster, workerEpoch: worker, modelHash: facts.identity.modelHash,
                geometry: facts.geometry, blockCount: facts.kv.blockCount, maxSequences: configuration.maxSequences,
                maxBatchedTokens: configuration.maxBatchedTokens, maxModelLength: facts.maxModelLength,
                cachesPrefixes: configuration.cachesPrefixes))
        let hello = KVHello(worker: configuration.worker, epoch: cluster, modelHash: facts.identity.modelHash)
        sender = KVSender(
            thread: thread, hello: hello, logger: logger,
            receive: { [weak self] reply in self?.assumeIsolated { $0.feed(.reply(reply)) } },
            interrupted: { [weak self] worker in self?.assumeIsolated { $0.feed(.peerUnreachable(worker)) } })
        noteRegistration(cluster, worker)
    }

    private func feed(_ event: PrefillRole.Event) {
        guard let actions = role?.handle(event, at: .now) else { return }
        if isReleasing {
            returnLeases(of: actions)
            return releaseIfQuiescent()
        }
        carryOut(actions)
        compute()
        rearm()
    }

    /// While the role is dropped nothing is sent any more, so nobody reads the blocks that it lends.
    private func returnLeases(of actions: [PrefillRole.Action]) {
        for case .sendBlocks(_, _, let lease, _) in actions {
            returnLeases(of: role?.handle(.sent(lease), at: .now) ?? [])
        }
    }

    private func carryOut(_ actions: [PrefillRole.Action]) {
        var reports: [WorkerMessage] = []
        for action in actions {
            switch action {
            case .copyBlock(let source, let target):
                facts.kv.copyBlock(Int32(source.rawValue), to: Int32(target.rawValue))
            case .send(let message, let destination): sender?.send(message, to: destination)
            case .sendBlocks(let blocks, let sources, let lease, let destination):
                send(blocks, sources, lease, to: destination)
            case .report(let message): reports.append(message)
            }
        }
        coordinator?.report(reports)
    }

    private func send(_ blocks: KVBlocks, _ sources: [BlockID], _ lease: LeaseID, to destination: KVDestination) {
        let memory = sources.map { facts.kv.bytes(layer: blocks.range.layer, block: Int32($0.rawValue)) }
        let returned: @Sendable () -> Void = { [weak self, thread] in
            thread.run { [weak self] in self?.assumeIsolated { $0.feed(.sent(lease)) } }
        }
        guard let sender else { return returned() }
        sender.send(blocks, from: memory, to: destination, release: returned)
    }

    private func rearm() {
        wakeUp?.cancel()
        guard let time = role?.timeOfNextWakeUp else { return }
        wakeUp = thread.schedule(at: time) { [weak self] in self?.assumeIsolated { $0.feed(.tick) } }
    }
}

// MARK: - Steps

extension PrefillWorker {
    private func compute() {
        guard !isComputing, let (step, actions) = role?.nextStep(at: .now) else { return }
        carryOut(actions)
        guard let step else { return }
        isComputing = true
        engine.submit { [weak self, thread] engine in
            let outcome = engine.run(step) { layer in
                thread.run { [weak self] in self?.assumeIsolated { $0.feed(.layerStored(layer)) } }
            }
            thread.run { [weak self] in self?.assumeIsolated { $0.finishStep(outcome) } }
        }
    }

    private func finishStep(_ outcome: WorkerEngine.Outcome) {
        isComputing = false
        feed(.stepFinished(outcome.samples, scores: outcome.scores))
    }

    private func releaseIfQuiescent() {
        guard !isComputing, role?.isQuiescent ?? true else { return }
        role = nil
        wakeUp?.cancel()
        isReleasing = false
        coordinator?.released()
    }

    func dropEverything() {
        wakeUp?.cancel()
        role = nil
        sender?.close()
        sender = nil
    }
}
