import ClusterCore
import Logging
import Transport
import Wire

/// The front end for clients that speak RPC: their socket, and who they are.
///
/// Belongs to the shell's thread, as its socket does.
final class RPCDesk {
    private var link: RouterLink<ClientMessage, ServerMessage>?
    private var clients = ClientPeers()

    /// Binds. On the shell's thread.
    init(shell: isolated CoordinatorShell, bind endpoint: Endpoint, security: LinkSecurity) throws {
        link = try RouterLink(
            thread: shell.thread, bind: endpoint, security: security, maxFrameBytes: 64 << 20
        ) { [weak shell] peer, result in shell?.assumeIsolated { $0.rpc?.receive(result, from: peer, $0) } }
    }

    func close() {
        link?.close()
        link = nil
    }

    // MARK: What clients say

    func receive(
        _ result: Result<ClientMessage, WireError>, from peer: PeerID, _ shell: isolated CoordinatorShell
    ) {
        switch result {
        case .success(.hello(let name)):
            shell.logger.debug("client \(name)")
            clients.hear(peer, at: .now)
            let hello = ServerHello(
                epoch: shell.scheduler.clusterEpoch, modelName: shell.settings.scheduler.modelName,
                maxModelLength: shell.settings.scheduler.maxModelLength)
            say(.hello(hello), to: peer, shell)
        case .success(let message):
            guard clients.knows(peer) else {
                say(.unknownClient(shell.scheduler.clusterEpoch), to: peer, shell)
                link?.forget(peer)
                return
            }
            clients.hear(peer, at: .now)
            take(message, from: peer, shell)
        case .failure(let error):
            shell.logger.warning("dropped a malformed message of a client: \(error)")
            if !clients.knows(peer) { link?.forget(peer) }
        }
    }

    private func take(_ message: ClientMessage, from peer: PeerID, _ shell: isolated CoordinatorShell) {
        let client = ClientPeers.id(of: peer)
        switch message {
        case .hello: break
        case .submit(let key, let submission): shell.submit(ClientRequestKey(client: client, key: key), submission)
        case .cancel(let key): shell.cancel(ClientRequestKey(client: client, key: key))
        case .ping: say(.pong(shell.scheduler.clusterEpoch), to: peer, shell)
        case .status: say(.status(shell.status), to: peer, shell)
        case .watch:
            clients.watch(peer)
            shell.watch()
        }
    }

    // MARK: What clients are told

    /// Whether anybody wants to know what happens.
    var hasWatchers: Bool { !clients.watchers.isEmpty }

    /// - Returns: watchers that are gone.
    func show(_ event: ClusterEvent, _ shell: isolated CoordinatorShell) -> [ClientID] {
        clients.watchers.map(ClientPeers.id(of:)).filter { !tell(.event(event), to: $0, shell) }
    }

    /// - Returns: `false` if the client is gone, or reads too slowly for its queue; it is forgotten then.
    func tell(_ message: ServerMessage, to client: ClientID, _ shell: isolated CoordinatorShell) -> Bool {
        let peer = ClientPeers.peer(of: client)
        do {
            switch try link?.send(message, to: peer) {
            case .sent, nil: return true
            case .full, .unreachable:
                forget(peer)
                return false
            }
        } catch {
            shell.logger.error("cannot send to a client: \(error)")
            return true
        }
    }

    private func say(_ message: ServerMessage, to peer: PeerID, _ shell: isolated CoordinatorShell) {
        let client = ClientPeers.id(of: peer)
        if !tell(message, to: client, shell) { shell.leave(client) }
    }

    private func forget(_ peer: PeerID) {
        clients.remove(peer)
        link?.forget(peer)
    }

    /// Tells clients that wait that the coordinator is there, and so learns who is not.
    func lookAfterClients(waiting: some Sequence<ClientID>, _ shell: isolated CoordinatorShell) {
        for client in Array(waiting) where clients.knows(ClientPeers.peer(of: client)) {
            say(.pong(shell.scheduler.clusterEpoch), to: ClientPeers.peer(of: client), shell)
        }
        for peer in clients.silent(at: .now) {
            forget(peer)
            shell.leave(ClientPeers.id(of: peer))
        }
    }
}
