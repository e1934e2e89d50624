import Wire

/// The connecting end of a link: one peer, typed messages, one socket that reconnects by itself.
///
/// Belongs to its socket thread.
public final class DealerLink<Incoming: FramedMessage, Outgoing: FramedMessage> {
    private static var burst: Int { 64 }

    private let socket: Socket
    private let thread: SocketThread
    private let receive: (Result<Incoming, WireError>) -> Void
    private let disconnected: () -> Void
    private var monitor: SocketMonitor?

    /// Connects, in the background. Must be called on `thread`, where the closures will be called as well.
    ///
    /// - Parameters:
    ///   - maxFrameBytes: longer frames end the connection.
    ///   - disconnected: the connection ended; what was under way is lost. The socket tries again by itself.
    /// - Throws: ``TransportError``.
    public init(
        thread: SocketThread, connect endpoint: Endpoint, security: LinkSecurity = .loopbackOnly, maxFrameBytes: Int = 64 << 20,
        receive: @escaping (Result<Incoming, WireError>) -> Void, disconnected: @escaping () -> Void = {}
    ) throws {
        self.thread = thread
        self.receive = receive
        self.disconnected = disconnected
        socket = try thread.makeSocket(.dealer, security: security, maxMessageBytes: maxFrameBytes)
        monitor = try socket.monitorDisconnects(on: thread, disconnected)
        do {
            try socket.connect(to: endpoint)
        } catch {
            // The thread would keep it otherwise.
            monitor?.close()
            throw error
        }
        thread.register(socket, first: true) { [weak self] in self?.drain() }
    }

    /// - Returns: false if the message could not be queued, because nobody is connected or the queue is full.
    /// - Throws: `WireError` for a message that cannot be said, ``TransportError`` for a failing socket.
    public func send(_ message: Outgoing) throws -> Bool {
        try socket.send(message.frames()) == .sent
    }

    public func close() {
        guard !socket.isClosed else { return }
        monitor?.close()
        thread.unregister(socket)
        socket.close()
    }

    private func drain() {
        for _ in 0..<Self.burst {
            guard !socket.isClosed, let frames = try? socket.receive() else { return }
            do throws(WireError) {
                receive(.success(try Incoming(frames: frames)))
            } catch {
                receive(.failure(error))
            }
        }
    }
}
