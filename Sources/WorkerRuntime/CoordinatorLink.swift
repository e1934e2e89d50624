import ClusterCore
import Logging
import Transport
import Wire

/// A worker's two connections to the coordinator, and its registration.
///
/// Belongs to the worker's socket thread. Control messages and heartbeats travel on connections of their own.
final class CoordinatorLink {
    typealias Link = DealerLink<ControlMessage, ControlMessage>

    enum Event {
        case registered(ClusterEpoch, WorkerEpoch)
        case deliver(CoordinatorMessage)
        /// Drop the role with all it holds, then call ``CoordinatorLink/released()``.
        case reset(String)
        case refused(String)
    }

    /// Silence on the heartbeat connection after which it introduces itself again: it may have been reconnected.
    private static let greetAfter = Duration.seconds(1)
    private static let greetInterval = Duration.milliseconds(250)

    private let thread: SocketThread
    private let logger: Logger
    private let handle: (Event) -> Void
    private let load: () -> WorkerLoad
    private var session: WorkerSession
    private var control: Link?
    private var heartbeat: Link?
    private var wakeUp: SocketThread.Timer?
    private var greeting: SocketThread.Timer?
    private var lastPing = Instant(nanoseconds: .min / 2)

    init(
        thread: SocketThread, endpoint: Endpoint, security: LinkSecurity, registration: Registration, logger: Logger,
        load: @escaping () -> WorkerLoad, handle: @escaping (Event) -> Void
    ) throws {
        self.thread = thread
        self.logger = logger
        self.load = load
        self.handle = handle
        session = WorkerSession(registration)
        control = try Link(
            thread: thread, connect: endpoint, security: security,
            receive: { [weak self] in self?.receive($0) },
            disconnected: { [weak self] in self?.feed(.connectionLost) })
        heartbeat = try Link(
            thread: thread, connect: endpoint, security: security, receive: { [weak self] in self?.receive($0) })
        feed(.tick)
        greet()
    }

    var isRegistered: Bool { session.isRegistered }

    func report(_ messages: [WorkerMessage]) {
        guard !messages.isEmpty else { return }
        carryOut(session.envelopes(for: messages))
    }

    /// The role that was to be dropped is gone.
    func released() { feed(.released) }

    func close() {
        wakeUp?.cancel()
        greeting?.cancel()
        control?.close()
        control = nil
        heartbeat?.close()
        heartbeat = nil
    }

    private func receive(_ result: Result<ControlMessage, WireError>) {
        switch result {
        case .success(.coordinator(let envelope, let message)): feed(.message(envelope, message))
        case .success(.ping(let ping)):
            lastPing = .now
            feed(.ping(ping, load()))
        case .success: logger.warning("the coordinator sent a worker's message")
        case .failure(let error): logger.warning("dropped a malformed message of the coordinator: \(error)")
        }
    }

    private func feed(_ event: WorkerSession.Event) {
        carryOut(session.handle(event, at: .now))
    }

    private func carryOut(_ actions: [WorkerSession.Action]) {
        for action in actions {
            switch action {
            case .send(let message, let envelope): send(.worker(envelope, message), on: control)
            case .pong(let pong): send(.pong(pong), on: heartbeat)
            case .becameRegistered(let cluster, let worker): handle(.registered(cluster, worker))
            case .deliver(let message): handle(.deliver(message))
            case .reset(let reason): handle(.reset(reason))
            case .refused(let reason): handle(.refused(reason))
            case .wakeAt(let time):
                wakeUp?.cancel()
                wakeUp = thread.schedule(at: time) { [weak self] in self?.feed(.tick) }
            }
        }
    }

    private func send(_ message: ControlMessage, on link: Link?) {
        do {
            // What cannot be sent now is lost; the numbering of the link tells the other side.
            _ = try link?.send(message)
        } catch {
            logger.error("cannot send to the coordinator: \(error)")
        }
    }

    /// Tells the coordinator whose heartbeat connection this is, until it pings.
    private func greet() {
        if Instant.now - lastPing > Self.greetAfter {
            send(.heartbeatHello(session.registration.worker), on: heartbeat)
        }
        greeting = thread.schedule(at: .now + Self.greetInterval) { [weak self] in self?.greet() }
    }
}
