import ClusterCore
import ClusterTracing
import Gateway
import Generation
import Logging
import RequestAdmission
import Tokenizer
import Transport
import Wire

/// The coordinator's shell: receives, asks the ``Scheduler``, carries its actions out.
///
/// Lives on one socket thread, which owns the sockets of clients and of workers. Clients come through front ends: the RPC
/// desk (``RPCDesk``), which lives on the same thread, and the HTTP server (``LocalClients``), which does not. Both use
/// the same few calls: submit, cancel, leave, status, watch.
actor CoordinatorShell {
    struct Settings: Sendable {
        var rpc: Endpoint
        var workers: Endpoint
        var security: LinkSecurity
        var admission: Admission
        var scheduler: Scheduler.Configuration
        /// File for a trace.
        var trace: String?
        /// Whether ``measurements`` are taken.
        var measures = false
    }

    /// How often clients that wait are looked after.
    private static let clientInterval = Duration.milliseconds(200)

    let settings: Settings
    let logger: Logger
    let thread: SocketThread
    private let began = Instant.now
    var scheduler: Scheduler
    var rpc: RPCDesk?
    var local = LocalClients()
    private var workers: RouterLink<ControlMessage, ControlMessage>?
    private var trace: TraceFile?
    var measurements = ServingMetrics()
    var desk = ClientDesk()
    /// Requests whose prompt is being tokenized, off this thread.
    var tokenizing: Set<ClientRequestKey> = []
    /// Tasks at that, those included whose request is no longer wanted.
    var runningTokenizations = 0
    /// When the worker's message came in that is being worked on.
    private(set) var messageArrival: ContinuousClock.Instant?
    private var heartbeatPeers: [WorkerID: PeerID] = [:]
    private var connections: [WorkerID: ConnectionID] = [:]
    private var wakeUp: SocketThread.Timer?
    private var drained: [CheckedContinuation<Void, Never>] = []
    private(set) var isDraining = false
    private var isDrained = false

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(_ settings: Settings, logger: Logger) throws {
        self.settings = settings
        self.logger = logger
        thread = try SocketThread(name: "scheduler")
        // Another number in every life; workers and clients tell lives apart by it.
        scheduler = Scheduler(configuration: settings.scheduler, clusterEpoch: ClusterEpoch(.random(in: 1 ... .max)))
    }

    /// Binds both endpoints and begins the trace.
    func open() throws {
        trace = try settings.trace.map { path throws(TraceError) in try TraceFile(path: path) }
        watch()
        rpc = try RPCDesk(shell: self, bind: settings.rpc, security: settings.security)
        workers = try RouterLink(
            thread: thread, bind: settings.workers, security: settings.security, maxFrameBytes: 1 << 20
        ) { [weak self] peer, result in self?.assumeIsolated { $0.receive(result, from: peer) } }
        logger.info("serving \(settings.scheduler.modelName): clients at \(settings.rpc), workers at \(settings.workers)")
        lookAround()
    }

    /// Accepts nothing new and returns when all that was accepted has ended. Called again, it returns at once.
    func drain() async {
        if isDrained || isDraining { return finishDraining() }
        isDraining = true
        logger.info("draining")
        feed(.drain)
        if isDrained { return }
        await withCheckedContinuation { drained.append($0) }
    }

    /// Closes the sockets.
    func close() {
        wakeUp?.cancel()
        rpc?.close()
        workers?.close()
        rpc = nil
        workers = nil
        do { try trace?.close(at: Instant.now - began) } catch { logger.error("trace: \(error)") }
        trace = nil
    }

    deinit { thread.stop() }

    // MARK: The scheduler

    func feed(_ event: Scheduler.Event) {
        var events = [event]
        while !events.isEmpty {
            for action in scheduler.handle(events.removeFirst(), at: .now) { events += carryOut(action) }
        }
    }

    /// - Returns: what carrying it out brought up.
    func carryOut(_ action: Scheduler.Action) -> [Scheduler.Event] {
        switch action {
        case .accepted: return []  // Answered in `submit`, where the text of the answer begins.
        case .refused(let key, let failure): return refuse(key, failure)
        case .emitPrompt(let request, let first, let tokens):
            return settle(desk.emitPrompt(request, first: first, tokens: tokens))
        case .emit(let request, let choice, let firstIndex, let tokens):
            if settings.measures { measurements.noteTokens(tokens.count, of: request, choice: choice, at: .now) }
            return settle(desk.emit(request, choice: choice, firstIndex: firstIndex, tokens: tokens))
        case .finish(let request, let choice, let summary):
            if settings.measures { measurements.noteEnd(of: request, summary, at: .now) }
            return settle(desk.finish(request, choice: choice, summary))
        case .fail(let request, let failure):
            if settings.measures { measurements.noteFailure(failure.code, of: request) }
            return settle(desk.fail(request, failure))
        case .send(let connection, let envelope, let message):
            return send(.coordinator(envelope, message), to: PeerID(connection.rawValue)).map { [$0] } ?? []
        case .ping(let worker, let ping):
            guard let peer = heartbeatPeers[worker] else { return [] }
            guard send(.ping(ping), to: peer) != nil else { return [] }
            // Its other connection is of the same process: gone as well.
            heartbeatPeers[worker] = nil
            return connections[worker].map { [.workerConnectionClosed($0)] } ?? []
        case .observe(let request, let kind):
            let event = ClusterEvent(time: Instant.now - began, request: request, kind: kind)
            record(event)
            measurements.note(kind)
            var gone: [Scheduler.Event] = []
            for client in rpc?.show(event, self) ?? [] { gone.append(forget(client)) }
            return gone
        case .wakeAt(let time):
            wakeUp?.cancel()
            wakeUp = thread.schedule(at: time) { [weak self] in self?.assumeIsolated { $0.feed(.tick) } }
            return []
        case .drained:
            finishDraining()
            return []
        }
    }

    /// Tells the scheduler whether anybody wants to know what happens.
    func watch() { feed(.watched(trace != nil || settings.measures || rpc?.hasWatchers == true)) }

    private func record(_ event: ClusterEvent) {
        do { try trace?.take(event) } catch {
            logger.error("the trace ends here: \(error)")
            trace = nil
        }
    }

    /// What has to be looked after now and then.
    private func lookAround() {
        rpc?.lookAfterClients(waiting: desk.clientsWithOpenRequests, self)
        watch()
        forgetStrangers()
        _ = thread.schedule(at: .now + Self.clientInterval) { [weak self] in self?.assumeIsolated { $0.lookAround() } }
    }

    private func finishDraining() {
        isDrained = true
        for waiter in drained { waiter.resume() }
        drained = []
    }

    // MARK: Workers

    /// Names that belong to no member (any more). One that is about to register introduces itself again.
    private func forgetStrangers() {
        let members = Set(scheduler.status.workers.map(\.worker))
        connections = connections.filter { members.contains($0.key) }
        heartbeatPeers = heartbeatPeers.filter { members.contains($0.key) }
    }

    private func receive(_ result: Result<ControlMessage, WireError>, from peer: PeerID) {
        messageArrival = settings.measures ? .now : nil
        defer { messageArrival = nil }
        switch result {
        case .success(.worker(let envelope, let message)):
            // Bounded, because anybody could register under any name until links are authenticated.
            if case .register(let registration) = message,
                connections.count < 16_384 || connections[registration.worker] != nil
            {
                connections[registration.worker] = ConnectionID(peer.rawValue)
                logger.info("\(registration.worker) registers for \(registration.role.rawValue) at \(registration.endpoint)")
            }
            feed(.workerMessage(ConnectionID(peer.rawValue), envelope, message))
        case .success(.heartbeatHello(let worker)):
            if connections[worker] != nil { heartbeatPeers[worker] = peer }
        case .success(.pong(let pong)): feed(.pong(pong))
        case .success: logger.warning("a worker sent a coordinator's message")
        case .failure(let error): logger.warning("dropped a malformed message of a worker: \(error)")
        }
    }

    /// - Returns: that the connection is gone, if it is.
    private func send(_ message: ControlMessage, to peer: PeerID) -> Scheduler.Event? {
        do {
            switch try workers?.send(message, to: peer) {
            case .sent, nil: return nil
            // A worker that does not read is as good as gone.
            case .full, .unreachable: return .workerConnectionClosed(ConnectionID(peer.rawValue))
            }
        } catch {
            logger.error("cannot send to a worker: \(error)")
            return nil
        }
    }
}
