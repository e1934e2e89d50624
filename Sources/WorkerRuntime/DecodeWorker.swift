import ClusterCore
import Generation
import Inference
import Logging
import Transport
import Wire

/// A decode worker: receives KV, runs the batch, reports tokens. What to do is ``DecodeRole``'s to decide.
public actor DecodeWorker: MemoryAware {
    let configuration: WorkerConfiguration
    let thread: SocketThread
    let engine: ConfinedThread<WorkerEngine>
    let facts: WorkerEngine.Facts
    let logger: Logger
    private var role: DecodeRole?
    private(set) var epoch = ClusterEpoch(0)
    var coordinator: CoordinatorLink?
    var receiver: KVReceiver?
    private let parking: ParkingDesk
    /// To other decode workers, for what was parked here.
    private var sender: KVSender?
    private var isIterating = false
    /// Others would compute prompts on this worker's cores.
    private var areOthersKeen = false
    private var isLending = false
    /// Reset was asked for; the role lives on until neither engine nor parking store touches its blocks.
    private var isReleasing = false
    private var wakeUp: SocketThread.Timer?
    var end = WorkerEnd()

    public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Loads the model and binds the KV socket; ``run()`` joins the cluster.
    public static func start(_ configuration: WorkerConfiguration, logger: Logger) async throws -> DecodeWorker {
        let (engine, facts) = try await WorkerEngine.start(configuration, logger: logger)
        let store = try await ConfinedThread<ParkingStore>.start(configuration, facts, logger: logger)
        let worker = try DecodeWorker(configuration, engine: engine, facts: facts, store: store, logger: logger)
        try await worker.open()
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
        thread = try SocketThread(name: "decode-sockets")
        parking = ParkingDesk(thread: thread, store: store, modelHash: facts.identity.modelHash)
    }

    private func open() throws {
        let receiver = try KVReceiver(
            thread: thread, bind: configuration.listen, security: configuration.security,
            maxFrameBytes: max(4096, KVBlocks.greatestCount * facts.geometry.bytesPerLayerBlock), logger: logger,
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
        try joinCluster(receiver)
        watchMemory()
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

extension DecodeWorker {
    func receive(_ event: CoordinatorLink.Event) {
        switch event {
        case .registered(let cluster, let worker): join(cluster, worker)
        case .deliver(let message):
            prepare(for: message)
            feed(.message(message))
        case .reset(let reason):
            logger.warning("starting over: \(reason)")
            isReleasing = true
            sender?.close()
            sender = nil
            releaseIfQuiescent()
        case .refused(let reason): close(.failure(WorkerError.refused(reason)))
        }
    }

    private func join(_ cluster: ClusterEpoch, _ worker: WorkerEpoch) {
        epoch = cluster
        role = DecodeRole(
            DecodeRole.Configuration(
                clusterEpoch: cluster, workerEpoch: worker, modelHash: facts.identity.modelHash,
                geometry: facts.geometry, blockCount: facts.kv.blockCount, maxSequences: configuration.maxSequences,
                maxModelLength: facts.maxModelLength, parking: configuration.parking,
                scaling: configuration.scaling,
                layout: configuration.scheduling == .batonDense ? .dense : .blockTables,
                lendingStretch: configuration.lendingStretch, backgroundShare: configuration.backgroundShare,
                cachesPrefixes: configuration.cachesPrefixes))
        let hello = KVHello(worker: configuration.worker, epoch: cluster, modelHash: facts.identity.modelHash)
        sender = KVSender(
            thread: thread, hello: hello, logger: logger,
            receive: { [weak self] reply in self?.assumeIsolated { $0.feed(.reply(reply)) } },
            interrupted: { [weak self] worker in self?.assumeIsolated { $0.feed(.peerUnreachable(worker)) } })
        noteRegistration(cluster, worker)
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
        guard let actions = role?.handle(event, at: .now) else { return }
        goOn(with: actions)
    }

    private func goOn(with actions: [DecodeRole.Action]) {
        if isReleasing { return releaseIfQuiescent() }
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
            case .load(let id):
                parking.load(id) { [weak self] layers in self?.assumeIsolated { $0.takeLoaded(layers, id) } }
            case .discard(let id): parking.discard(id)
            case .send(let message, let destination): sender?.send(message, to: destination)
            case .sendParked(let blocks, let id, let destination):
                if let payload = parking.payload(of: id, blocks) { sender?.send(blocks, payload, to: destination) }
            }
        }
        coordinator?.report(reports)
    }

    private func takeLoaded(_ layers: ParkingStore.Layers?, _ id: ParkID) {
        if let layers, role?.isParked(id) == true { parking.keep(layers, id) }
        feed(.loadingFinished(id, layers != nil))
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
        let began = Instant.now
        guard !isIterating else { return }
        if let end = role?.lendingEnd(at: began, areOthersKeen: areOthersKeen) { return lend(until: end, at: began) }
        isLending = false
        guard let (iteration, actions) = role?.nextIteration(at: began) else { return }
        carryOut(actions)
        role?.noteBoundary(took: .now - began)
        guard let iteration else { return }
        isIterating = true
        engine.submit { [weak self, thread] engine in
            let samples = engine.run(iteration), areOthersKeen = engine.areOthersKeen
            thread.run { [weak self] in self?.assumeIsolated { $0.finishIteration(samples, areOthersKeen) } }
        }
    }

    private func finishIteration(_ samples: [Sample], _ areOthersKeen: Bool) {
        isIterating = false
        self.areOthersKeen = areOthersKeen
        let ended = Instant.now
        guard let actions = role?.handle(.iterationFinished(samples), at: ended) else { return }
        role?.noteEnd(took: .now - ended)
        goOn(with: actions)
    }

    /// Leaves the cores to those who are keen on them, and looks now and then whether they still are.
    private func lend(until end: Instant, at now: Instant) {
        guard !isLending else { return }
        isLending = true
        role?.noteLending(at: now)
        engine.submit { $0.rest() }
        reconsider(at: min(end, now + Self.lendingInterval))
    }

    private func reconsider(at time: Instant) {
        _ = thread.schedule(at: time) { [weak self] in self?.assumeIsolated { $0.reconsider() } }
    }

    private func reconsider() {
        guard isLending, !isIterating, !isReleasing else { return }
        guard let end = role?.lendingEnd(at: .now, areOthersKeen: areOthersKeen) else { return iterate() }
        engine.submit { [weak self, thread] engine in
            let areOthersKeen = engine.areOthersKeen
            thread.run { [weak self] in self?.assumeIsolated { $0.goOnLending(until: end, areOthersKeen) } }
        }
    }

    private func goOnLending(until end: Instant, _ areOthersKeen: Bool) {
        guard isLending, !isIterating, !isReleasing else { return }
        self.areOthersKeen = areOthersKeen
        guard areOthersKeen else { return iterate() }
        reconsider(at: min(end, .now + Self.lendingInterval))
    }

    private static var lendingInterval: Duration { .milliseconds(4) }

    /// Drops the role once neither engine nor parking store touches its blocks.
    private func releaseIfQuiescent() {
        guard role?.isQuiescent ?? true else { return }
        role = nil
        parking.discardAll()
        wakeUp?.cancel()
        isReleasing = false
        coordinator?.released()
    }

    func dropEverything() {
        wakeUp?.cancel()
        role = nil
        sender?.close()
        sender = nil
        parking.stop()
    }
}
