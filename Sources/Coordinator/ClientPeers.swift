import ClusterCore
import Transport
import Wire

/// Who is connected as a client, and when each was last heard.
struct ClientPeers {
    private struct Client {
        var lastHeard: Instant
        var isWatching = false
    }

    /// A client pings every second; this long without a word means that it is gone.
    static let patience = Duration.seconds(5)

    private var clients: [PeerID: Client] = [:]

    static func id(of peer: PeerID) -> ClientID { ClientID(peer.rawValue) }
    static func peer(of id: ClientID) -> PeerID { PeerID(id.rawValue) }

    func knows(_ peer: PeerID) -> Bool { clients[peer] != nil }

    mutating func hear(_ peer: PeerID, at now: Instant) {
        clients[peer, default: Client(lastHeard: now)].lastHeard = now
    }

    mutating func watch(_ peer: PeerID) { clients[peer]?.isWatching = true }

    mutating func remove(_ peer: PeerID) { clients[peer] = nil }

    var watchers: [PeerID] { clients.filter(\.value.isWatching).map(\.key) }

    func silent(at now: Instant) -> [PeerID] {
        clients.filter { now - $0.value.lastHeard > Self.patience }.map(\.key)
    }
}
