import ClusterCore
import Logging
import Wire

/// The sending end of KV transfers: one connection to each decode worker that is in use.
///
/// Belongs to its socket thread; so do its closures. Blocks are sent where they lie, without a copy.
public final class KVSender {
    private typealias Link = DealerLink<KVReceiving, KVSending>

    /// Connections unused for this long are closed.
    private static let idleLimit = Duration.seconds(60)

    private struct Peer {
        var link: Link
        var worker: WorkerID
        var lastUsed: ContinuousClock.Instant
        var isGreeted = false
    }

    private let thread: SocketThread
    private let hello: KVHello
    private let logger: Logger
    private let receive: (KVReply) -> Void
    private let interrupted: (WorkerID) -> Void
    private var peers: [String: Peer] = [:]

    /// - Parameters:
    ///   - hello: what this worker says of itself on every connection.
    ///   - receive: gets the replies of all destinations.
    ///   - interrupted: a connection began or ended; what was sent to the worker before may be lost.
    public init(
        thread: SocketThread, hello: KVHello, logger: Logger, receive: @escaping (KVReply) -> Void,
        interrupted: @escaping (WorkerID) -> Void
    ) {
        self.thread = thread
        self.hello = hello
        self.logger = logger
        self.receive = receive
        self.interrupted = interrupted
    }

    public func send(_ message: KVMessage, to destination: KVDestination) {
        deliver(.message(message), to: destination)
    }

    /// Sends layer blocks from where they lie. `release` is called once, on any thread, when they are read no more:
    /// also when they could not be sent.
    public func send(
        _ blocks: KVBlocks, from memory: [UnsafeRawBufferPointer], to destination: KVDestination,
        release: @escaping @Sendable () -> Void
    ) {
        deliver(.blocks(blocks, KVPayload(lending: memory, of: blocks, modelHash: hello.modelHash, release: release)), to: destination)
    }

    public func send(_ blocks: KVBlocks, _ payload: KVPayload, to destination: KVDestination) {
        deliver(.blocks(blocks, payload), to: destination)
    }

    private func closeIdle() {
        let now = ContinuousClock.now
        for (endpoint, peer) in peers where now - peer.lastUsed > Self.idleLimit {
            peer.link.close()
            peers[endpoint] = nil
        }
    }

    /// Closes every connection; the blocks of messages that were not sent are released.
    public func close() {
        for peer in peers.values { peer.link.close() }
        peers = [:]
    }

    private func deliver(_ message: KVSending, to destination: KVDestination) {
        do {
            var peer = try peer(at: destination)
            peer.lastUsed = .now
            if !peer.isGreeted { peer.isGreeted = try peer.link.send(.hello(hello)) }
            peers[destination.endpoint] = peer
            // Not connected (yet) or full: the role repeats what matters.
            if peer.isGreeted, try peer.link.send(message) { return }
        } catch {
            logger.warning("cannot send to \(destination.worker) at \(destination.endpoint): \(error)")
        }
        message.releaseLoans()
    }

    /// Connects if need be.
    private func peer(at destination: KVDestination) throws -> Peer {
        if let peer = peers[destination.endpoint] { return peer }
        closeIdle()
        let (endpoint, worker) = (destination.endpoint, destination.worker)
        // Connecting needs no permission of the network kind: the receiver's bind had to have it.
        let link = try Link(
            thread: thread, connect: Endpoint(endpoint),
            receive: { [weak self] result in self?.take(result, from: worker) },
            disconnected: { [weak self] in self?.connectionEnded(endpoint) })
        let peer = Peer(link: link, worker: worker, lastUsed: .now)
        peers[endpoint] = peer
        greet(endpoint, until: .now + .seconds(1))
        return peer
    }

    /// Introduces this worker as soon as the connection is there, and has asked again whatever was asked too early.
    private func greet(_ endpoint: String, until deadline: Instant) {
        guard var peer = peers[endpoint], !peer.isGreeted, Instant.now < deadline else { return }
        if (try? peer.link.send(.hello(hello))) == true {
            peer.isGreeted = true
            peers[endpoint] = peer
            interrupted(peer.worker)
            return
        }
        _ = thread.schedule(at: .now + .milliseconds(2)) { [weak self] in self?.greet(endpoint, until: deadline) }
    }

    private func connectionEnded(_ endpoint: String) {
        guard var peer = peers[endpoint] else { return }
        peer.isGreeted = false
        peers[endpoint] = peer
        interrupted(peer.worker)
    }

    private func take(_ result: Result<KVReceiving, WireError>, from worker: WorkerID) {
        switch result {
        case .success(.welcome): break
        case .success(.reply(let reply)): receive(reply)
        case .failure(let error): logger.warning("\(worker) sent a malformed KV reply: \(error)")
        }
    }
}

extension KVSending {
    /// Gives lent blocks back that never reached a socket.
    fileprivate func releaseLoans() {
        if case .blocks(_, let payload) = self {
            for frame in payload.frames { frame.loan?.release() }
        }
    }
}
