import ClusterCore
import Wire

/// The bound end of a link: many peers, typed messages, one socket.
///
/// Belongs to its socket thread. What a peer sends that is no valid message is counted, reported and dropped; the link
/// goes on.
public final class RouterLink<Incoming: FramedMessage, Outgoing: FramedMessage> {
    /// Peers that are remembered. Connections come and go without a word (health checks do), so beyond this the half that
    /// was silent longest is forgotten.
    static var maxPeers: Int { 16_384 }
    /// Messages taken from the socket before others on the thread get their turn.
    private static var burst: Int { 64 }

    public let endpoint: Endpoint
    private let socket: Socket
    private let thread: SocketThread
    private let receive: (PeerID, Result<Incoming, WireError>) -> Void
    private var peers: [[UInt8]: PeerID] = [:]
    private var identities: [PeerID: [UInt8]] = [:]
    /// By peer: number of the last message that came from it.
    private var lastHeard: [PeerID: UInt64] = [:]
    private var messageCount: UInt64 = 0
    private var lastPeer: UInt64 = 0
    /// Messages that were dropped because they were malformed.
    public private(set) var malformedCount = 0

    /// Binds. Must be called on `thread`, where `receive` will be called as well.
    ///
    /// - Parameter maxFrameBytes: longer frames end the connection that sent them.
    /// - Throws: ``TransportError``.
    public init(
        thread: SocketThread, bind endpoint: Endpoint, security: LinkSecurity, maxFrameBytes: Int,
        receive: @escaping (PeerID, Result<Incoming, WireError>) -> Void
    ) throws {
        self.thread = thread
        self.receive = receive
        socket = try thread.makeSocket(.router, security: security, maxMessageBytes: maxFrameBytes)
        self.endpoint = try socket.bind(to: endpoint)
        thread.register(socket) { [weak self] in self?.drain() }
    }

    /// What became of a message.
    public enum Sending: Sendable, Hashable {
        case sent
        /// The peer does not read fast enough; its queue is full.
        case full
        /// The connection is gone; the peer will have another id if it comes back.
        case unreachable
    }

    /// - Throws: `WireError` for a message that cannot be said, ``TransportError`` for a failing socket.
    public func send(_ message: Outgoing, to peer: PeerID) throws -> Sending {
        guard let identity = identities[peer] else { return .unreachable }
        let outcome = try socket.send([Frame(identity)] + message.frames())
        switch outcome {
        case .sent: return .sent
        case .full: return .full
        case .unreachable:
            forget(peer)
            return .unreachable
        }
    }

    /// Forgets a peer; messages from it make it known again under another id.
    public func forget(_ peer: PeerID) {
        if let identity = identities.removeValue(forKey: peer) { peers[identity] = nil }
        lastHeard[peer] = nil
    }

    public func knows(_ peer: PeerID) -> Bool { identities[peer] != nil }

    public func close() {
        guard !socket.isClosed else { return }
        thread.unregister(socket)
        socket.close()
    }

    private func drain() {
        for _ in 0..<Self.burst {
            guard !socket.isClosed, let frames = try? socket.receive() else { return }
            guard let identity = frames.first else { continue }
            let peer = peer(for: identity.bytes)
            do throws(WireError) {
                receive(peer, .success(try Incoming(frames: Array(frames.dropFirst()))))
            } catch {
                malformedCount += 1
                receive(peer, .failure(error))
            }
        }
    }

    private func peer(for identity: [UInt8]) -> PeerID {
        messageCount += 1
        if let known = peers[identity] {
            lastHeard[known] = messageCount
            return known
        }
        if identities.count >= Self.maxPeers { forgetTheSilent() }
        lastPeer += 1
        let peer = PeerID(lastPeer)
        peers[identity] = peer
        identities[peer] = identity
        lastHeard[peer] = messageCount
        return peer
    }

    private func forgetTheSilent() {
        let bySilence = lastHeard.sorted { $0.value < $1.value }
        for (peer, _) in bySilence.prefix(bySilence.count / 2) { forget(peer) }
    }
}
