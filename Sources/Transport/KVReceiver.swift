import ClusterCore
import Logging
import Wire

/// The receiving end of KV transfers.
///
/// Belongs to its socket thread; so do its closures. Nothing of a payload is touched before the handler has said where
/// it belongs.
public final class KVReceiver {
    private typealias Link = RouterLink<KVSending, KVReceiving>

    /// What the owner does with what arrives.
    public struct Handler {
        /// `open`, `commit` or `abort`.
        public var message: (PeerID, KVMessage) -> Void
        /// Where the layer blocks belong, one piece of memory for each; `nil` if they are not wanted (the handler has
        /// taken note).
        public var destination: (PeerID, KVBlocks) -> [UnsafeMutableRawBufferPointer]?
        /// Called right after, on the same thread: the blocks were copied, and whether their checksum was right.
        public var stored: (PeerID, KVBlocks, _ isIntact: Bool) -> Void
        /// Who this worker is now.
        public var welcome: () -> KVWelcome

        public init(
            message: @escaping (PeerID, KVMessage) -> Void,
            destination: @escaping (PeerID, KVBlocks) -> [UnsafeMutableRawBufferPointer]?,
            stored: @escaping (PeerID, KVBlocks, _ isIntact: Bool) -> Void, welcome: @escaping () -> KVWelcome
        ) {
            self.message = message
            self.destination = destination
            self.stored = stored
            self.welcome = welcome
        }
    }

    private var link: Link?
    private let handler: Handler
    private let logger: Logger
    /// Peers whose greeting named our model.
    private var greeted: Set<PeerID> = []
    /// Bytes of KV received, whether they were wanted or not.
    public private(set) var byteCount = 0

    /// Binds. Must be called on `thread`.
    /// - Throws: ``TransportError``.
    public init(
        thread: SocketThread, bind endpoint: Endpoint, security: LinkSecurity, maxFrameBytes: Int, logger: Logger,
        handler: Handler
    ) throws {
        self.handler = handler
        self.logger = logger
        link = try Link(thread: thread, bind: endpoint, security: security, maxFrameBytes: maxFrameBytes) {
            [weak self] peer, result in self?.take(result, from: peer)
        }
    }

    public var endpoint: Endpoint? { link?.endpoint }
    public var malformedCount: Int { link?.malformedCount ?? 0 }

    public func reply(_ reply: KVReply, to peer: PeerID) {
        send(.reply(reply), to: peer)
    }

    public func close() {
        link?.close()
        link = nil
    }

    private func take(_ result: Result<KVSending, WireError>, from peer: PeerID) {
        switch result {
        case .success(.hello(let hello)): greet(hello, peer)
        case .success(let message) where greeted.contains(peer): take(message, from: peer)
        case .success: logger.warning("dropped a KV message of a peer that has not introduced itself")
        case .failure(let error): logger.warning("dropped a malformed KV message: \(error)")
        }
    }

    private func greet(_ hello: KVHello, _ peer: PeerID) {
        let own = handler.welcome()
        if hello.modelHash == own.modelHash {
            if greeted.count >= 4096, let link { greeted = greeted.filter(link.knows) }
            greeted.insert(peer)
        } else if !hello.modelHash.isEmpty {
            logger.error("\(hello.worker) serves model \(hello.modelHash), this worker \(own.modelHash): refused")
        }
        send(.welcome(own), to: peer)
    }

    private func take(_ message: KVSending, from peer: PeerID) {
        switch message {
        case .hello: break
        case .message(let message): handler.message(peer, message)
        case .blocks(let blocks, let payload):
            byteCount += payload.frames.reduce(0) { $0 + $1.count }
            guard let targets = handler.destination(peer, blocks) else { return }
            handler.stored(peer, blocks, payload.copyVerifying(blocks, modelHash: handler.welcome().modelHash, into: targets))
        }
    }

    private func send(_ message: KVReceiving, to peer: PeerID) {
        do {
            if try link?.send(message, to: peer) == .unreachable { greeted.remove(peer) }
        } catch {
            logger.warning("cannot answer a KV peer: \(error)")
        }
    }
}
