import ClusterCore
import Generation
import Grammar
import Inference
import Logging
import Transport
import Wire

/// What all workers do alike: join the cluster, say who they are, drain and end.
protocol WorkerShell: Actor {
    var configuration: WorkerConfiguration { get }
    var thread: SocketThread { get }
    var engine: ConfinedThread<WorkerEngine> { get }
    var facts: WorkerEngine.Facts { get }
    var logger: Logger { get }
    /// Of the last registration.
    var epoch: ClusterEpoch { get }
    var coordinator: CoordinatorLink? { get set }
    var receiver: KVReceiver? { get set }
    var end: WorkerEnd { get set }
    /// What the role holds; `nil` while there is none.
    var load: WorkerLoad? { get }

    func receive(_ event: CoordinatorLink.Event)
    /// Forgets the role and closes what only this kind of worker has. Nothing may be sent afterwards.
    func dropEverything()
}

/// A worker whose batch shrinks when the system's memory does.
protocol MemoryAware: WorkerShell {
    func take(_ memory: BatchScale.Memory)
}

extension MemoryAware {
    /// Tells ``take(_:)`` now and then what memory the system has left, as long as the worker serves.
    func watchMemory(_ probe: MemoryProbe = MemoryProbe()) {
        guard !end.hasCome, configuration.scaling.policy != .off else { return }
        if let memory = probe.sample() { take(memory) }
        _ = thread.schedule(at: .now + MemoryProbe.interval) { [weak self] in
            self?.assumeIsolated { $0.watchMemory(probe) }
        }
    }
}

extension WorkerShell {
    /// Begins to compile the constraint of a query that is announced, while its prompt has yet to be computed.
    func prepare(for message: CoordinatorMessage) {
        let constraint: Constraint? =
            switch message {
            case .grant(let grant): grant.sequence.constraint
            case .prefill(let order): order.sequence.constraint
            default: nil
            }
        if let constraint { facts.grammars.prepare(OutputConstraint(constraint)) }
    }

    /// Connects to the coordinator once the KV socket is bound.
    func joinCluster(_ receiver: KVReceiver) throws {
        self.receiver = receiver
        let bound = receiver.endpoint ?? configuration.listen
        let registration = facts.registration(
            configuration, endpoint: try configuration.advertisedEndpoint(bound: bound), bootNonce: .random(in: 1 ... .max))
        coordinator = try CoordinatorLink(
            thread: thread, endpoint: configuration.coordinator, security: configuration.security,
            registration: registration, logger: logger,
            load: { [weak self, meter = facts.leaseMeter] in
                var load = (self?.assumeIsolated { $0.load } ?? nil) ?? WorkerLoad()
                load.coreLeases = meter.counters
                return load
            },
            handle: { [weak self] event in self?.assumeIsolated { $0.receive(event) } })
        logger.info("listening on \(bound), advertised as \(registration.endpoint)")
    }

    /// Binds a KV socket that takes no KV but says who is there, and joins the cluster.
    func joinClusterWithoutKV() throws {
        let receiver = try KVReceiver(
            thread: thread, bind: configuration.listen, security: configuration.security, maxFrameBytes: 4096,
            logger: logger,
            handler: KVReceiver.Handler(
                message: { [weak self] peer, message in self?.assumeIsolated { $0.refuse(message, from: peer) } },
                destination: { _, _ in nil }, stored: { _, _, _ in },
                welcome: { [weak self] in
                    self?.assumeIsolated { $0.welcome }
                        ?? KVWelcome(worker: WorkerID(""), epoch: ClusterEpoch(0), modelHash: "", isRegistered: false)
                }))
        try joinCluster(receiver)
    }

    /// A role's load, with what the role was made to do.
    func load(of load: WorkerLoad?) -> WorkerLoad? {
        var load = load
        load?.scheduling = configuration.scheduling
        return load
    }

    private func refuse(_ message: KVMessage, from peer: PeerID) {
        guard case .open(let open) = message else { return }
        let reason = "a \(configuration.role.rawValue) worker takes no KV"
        receiver?.reply(.refused(open.epoch, open.attempt, reason), to: peer)
    }

    /// Who this worker is now.
    var welcome: KVWelcome {
        KVWelcome(
            worker: configuration.worker, epoch: epoch, modelHash: facts.identity.modelHash, isRegistered: load != nil)
    }

    /// Serves until ``leave()`` is done.
    func serve() async throws {
        try await withCheckedThrowingContinuation { end.add($0) }
    }

    /// Takes nothing new, finishes what it holds, then ends ``serve()``. Called again, it ends at once.
    func leave() {
        guard !end.isDraining, coordinator?.isRegistered == true else { return close(.success(())) }
        end.isDraining = true
        logger.info("draining")
        coordinator?.report([.leaving])
        awaitIdleness(since: nil)
    }

    /// A coordinator that has just welcomed the worker does not know yet that it is leaving.
    func noteRegistration(_ cluster: ClusterEpoch, _ worker: WorkerEpoch) {
        logger.info("registered with cluster \(cluster) as \(worker)")
        if end.isDraining { coordinator?.report([.leaving]) }
    }

    private func awaitIdleness(since: Instant?) {
        let load = load ?? WorkerLoad()
        let isIdle = load.rows == 0 && load.waiting == 0 && load.referencedBlocks == 0
        let start = isIdle ? since ?? .now : nil
        // What was ordered before the coordinator heard of the leaving may still be under way.
        if let start, Instant.now - start > WorkerEnd.quietTime { return close(.success(())) }
        _ = thread.schedule(at: .now + .milliseconds(50)) { [weak self] in
            self?.assumeIsolated { $0.awaitIdleness(since: start) }
        }
    }

    func close(_ result: Result<Void, any Error>) {
        guard !end.hasCome else { return }
        dropEverything()
        coordinator?.close()
        receiver?.close()
        engine.stop()
        end.finish(result)
    }
}
