import ClusterCore
import Generation
import Logging
import RequestAdmission
import Tokenizer
import ClusterTracing
import Transport
import Wire

/// The coordinator's shell: receives, asks the ``Scheduler``, carries its actions out.
///
/// Lives on one socket thread, which owns the sockets of clients and of workers.
actor CoordinatorShell {
    struct Settings: Sendable {
        var rpc: Endpoint
        var workers: Endpoint
        var security: LinkSecurity
        var admission: Admission
        var scheduler: Scheduler.Configuration
        /// File for a trace.
        var trace: String?
    }

    /// How often clients that wait are looked after.
    private static let clientInterval = Duration.milliseconds(200)

    let settings: Settings
    let logger: Logger
    private let thread: SocketThread
    private let began = Instant.now
    private var scheduler: Scheduler
    private var rpc: RouterLink<ClientMessage, ServerMessage>?
    private var workers: RouterLink<ControlMessage, ControlMessage>?
    private var trace: TraceFile?
    private var desk = ClientDesk()
    private var clients = ClientPeers()
    /// Requests whose prompt is being tokenized, off this thread.
    private var tokenizing: Set<ClientRequestKey> = []
    /// Tasks at that, those included whose request is no longer wanted.
    private var runningTokenizations = 0
    private var heartbeatPeers: [WorkerID: PeerID] = [:]
    private var connections: [WorkerID: ConnectionID] = [:]
    private var wakeUp: SocketThread.Timer?
    private var drained: [CheckedContinuation<Void, Never>] = []
    private var isDraining = false
    private var isDrained = false

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(_ settings: Settings, logger: Logger) throws {
        self.settings = settings
        self.logger = logger
        thread = try SocketThread(name: "coordinator")
        // Another number in every life; workers and clients tell lives apart by it.
        scheduler = Scheduler(configuration: settings.scheduler, clusterEpoch: ClusterEpoch(.random(in: 1 ... .max)))
    }

    /// Binds both endpoints and begins the trace.
    func open() throws {
        trace = try settings.trace.map { path throws(TraceError) in try TraceFile(path: path) }
        watch()
        rpc = try RouterLink(
            thread: thread, bind: settings.rpc, security: settings.security, maxFrameBytes: 64 << 20
        ) { [weak self] peer, result in self?.assumeIsolated { $0.receive(result, from: peer) } }
        workers = try RouterLink(
            thread: thread, bind: settings.workers, security: settings.security, maxFrameBytes: 1 << 20
        ) { [weak self] peer, result in self?.assumeIsolated { $0.receive(result, from: peer) } }
        logger.info("serving \(settings.scheduler.modelName): clients at \(settings.rpc), workers at \(settings.workers)")
        lookAfterClients()
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

    private func feed(_ event: Scheduler.Event) {
        var events = [event]
        while !events.isEmpty {
            for action in scheduler.handle(events.removeFirst(), at: .now) { events += carryOut(action) }
        }
    }

    /// - Returns: what carrying it out brought up.
    private func carryOut(_ action: Scheduler.Action) -> [Scheduler.Event] {
        switch action {
        case .accepted: return []  // Answered in `submit`, where the text of the answer begins.
        case .refused(let key, let failure): return tell(key, .failed(key: key.key, failure))
        case .emitPrompt(let request, let first, let tokens):
            return settle(desk.emitPrompt(request, first: first, tokens: tokens))
        case .emit(let request, let choice, let firstIndex, let tokens):
            return settle(desk.emit(request, choice: choice, firstIndex: firstIndex, tokens: tokens))
        case .finish(let request, let choice, let summary): return settle(desk.finish(request, choice: choice, summary))
        case .fail(let request, let failure): return settle(desk.fail(request, failure))
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
            var gone: [Scheduler.Event] = []
            for watcher in clients.watchers { gone += send(ServerMessage.event(event), to: watcher) }
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
    private func watch() { feed(.watched(trace != nil || !clients.watchers.isEmpty)) }

    private func record(_ event: ClusterEvent) {
        do { try trace?.take(event) } catch {
            logger.error("the trace ends here: \(error)")
            trace = nil
        }
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

    // MARK: Clients

    private func receive(_ result: Result<ClientMessage, WireError>, from peer: PeerID) {
        switch result {
        case .success(.hello(let name)):
            logger.debug("client \(name)")
            clients.hear(peer, at: .now)
            _ = send(
                .hello(
                    ServerHello(
                        epoch: scheduler.clusterEpoch, modelName: settings.scheduler.modelName,
                        maxModelLength: settings.scheduler.maxModelLength)), to: peer)
        case .success(let message):
            guard clients.knows(peer) else {
                _ = send(.unknownClient(scheduler.clusterEpoch), to: peer)
                rpc?.forget(peer)
                return
            }
            clients.hear(peer, at: .now)
            take(message, from: peer)
        case .failure(let error):
            logger.warning("dropped a malformed message of a client: \(error)")
            if !clients.knows(peer) { rpc?.forget(peer) }
        }
    }

    private func take(_ message: ClientMessage, from peer: PeerID) {
        switch message {
        case .hello: break
        case .submit(let key, let submission):
            submit(ClientRequestKey(client: ClientPeers.id(of: peer), key: key), submission)
        case .cancel(let key):
            let key = ClientRequestKey(client: ClientPeers.id(of: peer), key: key)
            tokenizing.remove(key)
            feed(.cancelled(key))
        case .ping: _ = send(.pong(scheduler.clusterEpoch), to: peer)
        case .status: _ = send(.status(scheduler.status), to: peer)
        case .watch:
            clients.watch(peer)
            watch()
        }
    }

    /// Tokenizes off this thread, so that a long prompt holds nobody up.
    private func submit(_ key: ClientRequestKey, _ submission: Submission) {
        guard runningTokenizations + scheduler.waitingCount < settings.scheduler.maxQueuedRequests else {
            return refuse(key, .overloaded, "the queue is full")
        }
        guard !tokenizing.contains(key) else { return refuse(key, .invalid, "key \(key.key) is in use") }
        let deadline = submission.timeout.map { Instant.now + $0 }
        let (admission, seed) = (settings.admission, UInt64.random(in: 0 ... .max))
        tokenizing.insert(key)
        runningTokenizations += 1
        Task.detached {
            let admitted: Result<Admission.Admitted, RequestFailure>
            do throws(RequestFailure) {
                admitted = .success(try admission.admit(submission, drawnSeed: seed))
            } catch {
                admitted = .failure(error)
            }
            await self.admit(admitted, key, submission, deadline)
        }
    }

    private func admit(
        _ admitted: Result<Admission.Admitted, RequestFailure>, _ key: ClientRequestKey, _ submission: Submission,
        _ deadline: Instant?
    ) {
        runningTokenizations -= 1
        // Cancelled, or the client is gone.
        guard tokenizing.remove(key) != nil else { return }
        switch admitted {
        case .failure(let failure): for event in tell(key, .failed(key: key.key, failure)) { feed(event) }
        case .success(let admitted):
            let request = ClientRequest(
                key: key, prompt: admitted.prompt, sampling: admitted.sampling, stop: admitted.stop,
                choices: admitted.choices, logprobs: admitted.logprobs, promptLogprobs: admitted.promptLogprobs,
                constraint: admitted.constraint, priority: submission.priority, deadline: deadline)
            var events: [Scheduler.Event] = []
            for action in scheduler.handle(.submitted(request), at: .now) {
                if case .accepted(_, let id) = action {
                    let text = AnswerText(
                        tokenizer: settings.admission.tokenizer, stopStrings: submission.stopStrings,
                        endTokens: settings.admission.endTokens + submission.stopTokens, minTokens: submission.minTokens,
                        includesStopString: submission.includesStopString)
                    desk.open(id, for: key, text: text, choices: admitted.choices)
                    let acceptance = Acceptance(
                        request: id, seed: admitted.sampling.seed, promptCount: Int32(admitted.prompt.count),
                        choices: admitted.choices)
                    events += tell(key, .accepted(key: key.key, acceptance))
                } else {
                    events += carryOut(action)
                }
            }
            for event in events { feed(event) }
        }
    }

    private func refuse(_ key: ClientRequestKey, _ code: RequestFailure.Code, _ message: String) {
        for event in tell(key, .failed(key: key.key, RequestFailure(code: code, message: message))) { feed(event) }
    }

    private func settle(_ outcomes: [ClientDesk.Outcome]) -> [Scheduler.Event] {
        var events: [Scheduler.Event] = []
        for outcome in outcomes {
            switch outcome {
            case .send(let key, let message): events += tell(key, message)
            case .stopMatched(let request, let choice): events.append(.stopMatched(request, choice: choice))
            }
        }
        return events
    }

    private func tell(_ key: ClientRequestKey, _ message: ServerMessage) -> [Scheduler.Event] {
        send(message, to: ClientPeers.peer(of: key.client))
    }

    /// - Returns: that the client is gone, if it is, or reads too slowly for its queue.
    private func send(_ message: ServerMessage, to peer: PeerID) -> [Scheduler.Event] {
        do {
            switch try rpc?.send(message, to: peer) {
            case .sent, nil: return []
            case .full, .unreachable: return [forget(peer)]
            }
        } catch {
            logger.error("cannot send to a client: \(error)")
            return []
        }
    }

    private func forget(_ peer: PeerID) -> Scheduler.Event {
        let client = ClientPeers.id(of: peer)
        clients.remove(peer)
        rpc?.forget(peer)
        tokenizing = tokenizing.filter { $0.client != client }
        return .clientGone(client)
    }

    /// Tells clients that wait that the coordinator is there, and so learns who is not.
    private func lookAfterClients() {
        for client in Array(desk.clientsWithOpenRequests) {
            for event in send(ServerMessage.pong(scheduler.clusterEpoch), to: ClientPeers.peer(of: client)) { feed(event) }
        }
        for peer in clients.silent(at: .now) { feed(forget(peer)) }
        watch()
        forgetStrangers()
        _ = thread.schedule(at: .now + Self.clientInterval) { [weak self] in
            self?.assumeIsolated { $0.lookAfterClients() }
        }
    }
}
