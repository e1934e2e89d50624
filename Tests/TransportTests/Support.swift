import ClusterCore
import Foundation
import Synchronization
import Testing
import Wire

@testable import Transport

/// Polls until `condition` holds.
/// - Returns: false if it never did within `limit`.
func eventually(
    within limit: Duration = .seconds(10), isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
) async rethrows -> Bool {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(2))
    }
    return false
}

/// Counts on any thread.
final class Tally: Sendable {
    private let value = Mutex(0)

    var count: Int { value.withLock { $0 } }
    func add() { value.withLock { $0 += 1 } }
}

/// Whether this machine speaks IPv6 with itself.
let hasIPv6Loopback = FileManager.default.contents(atPath: "/proc/net/if_inet6").map { !$0.isEmpty } ?? false

let loopback = "tcp://127.0.0.1:*"

/// Owner of sockets on a thread of its own: one end of a link, or a bare socket that can say anything.
actor Station {
    nonisolated let thread: SocketThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private var router: RouterLink<ControlMessage, ControlMessage>?
    private var dealer: DealerLink<ControlMessage, ControlMessage>?
    private var bare: Socket?
    private(set) var received: [ControlMessage] = []
    private(set) var errors: [WireError] = []
    private(set) var peers: [PeerID] = []
    private(set) var disconnectCount = 0
    private(set) var bareMessages: [[[UInt8]]] = []

    init() throws { thread = try SocketThread(name: "station") }

    deinit { thread.stop() }

    // MARK: Links

    /// - Returns: where it is bound.
    func bind(
        _ endpoint: String = loopback, security: LinkSecurity = .loopbackOnly, maxFrameBytes: Int = 1 << 20
    ) throws -> String {
        let link = try RouterLink<ControlMessage, ControlMessage>(
            thread: thread, bind: Endpoint(endpoint), security: security, maxFrameBytes: maxFrameBytes
        ) { peer, result in
            if !self.peers.contains(peer) { self.peers.append(peer) }
            self.take(result)
        }
        router = link
        return "\(link.endpoint)"
    }

    func connect(to endpoint: String, maxFrameBytes: Int = 1 << 20) throws {
        dealer = try DealerLink(
            thread: thread, connect: Endpoint(endpoint), maxFrameBytes: maxFrameBytes, receive: { self.take($0) },
            disconnected: { self.disconnectCount += 1 })
    }

    func send(_ message: ControlMessage) throws -> Bool { try dealer?.send(message) ?? false }

    func send(_ message: ControlMessage, to peer: PeerID) throws -> RouterLink<ControlMessage, ControlMessage>.Sending? {
        try router?.send(message, to: peer)
    }

    func forget(_ peer: PeerID) { router?.forget(peer) }

    var socketCount: Int { thread.socketCount }

    var malformedCount: Int { router?.malformedCount ?? 0 }

    /// Also breaks the cycle of the link's closures.
    func close() {
        router?.close()
        dealer?.close()
        bare.map { thread.unregister($0) }
        bare?.close()
        (router, dealer, bare) = (nil, nil, nil)
    }

    private func take(_ result: Result<ControlMessage, WireError>) {
        switch result {
        case .success(let message): received.append(message)
        case .failure(let error): errors.append(error)
        }
    }

    // MARK: Bare sockets

    func connectBare(to endpoint: String) throws {
        let socket = try thread.makeSocket(.dealer, security: .loopbackOnly, maxMessageBytes: 1 << 24)
        try socket.connect(to: Endpoint(endpoint))
        listen(on: socket)
    }

    func bindBare() throws -> String {
        let socket = try thread.makeSocket(.router, security: .loopbackOnly, maxMessageBytes: 1 << 24)
        let endpoint = try socket.bind(to: Endpoint(loopback))
        listen(on: socket)
        return "\(endpoint)"
    }

    /// A socket that accepts connections and reads nothing.
    func bindDeaf() throws -> String {
        let socket = try thread.makeSocket(.router, security: .loopbackOnly, maxMessageBytes: 1 << 24)
        let endpoint = try socket.bind(to: Endpoint(loopback))
        bare = socket
        return "\(endpoint)"
    }

    func sendBare(_ frames: [[UInt8]]) throws -> Bool { try bare?.send(frames.map { Frame($0) }) == .sent }

    private func listen(on socket: Socket) {
        bare = socket
        thread.register(socket) {
            while let frames = try? socket.receive() { self.bareMessages.append(frames.map(\.bytes)) }
        }
    }
}

extension ControlMessage {
    static func ping(_ sequence: UInt64) -> ControlMessage {
        .ping(Ping(clusterEpoch: ClusterEpoch(1), workerEpoch: WorkerEpoch(2), sequence: sequence, controlSent: 3))
    }

    static func tokens(count: Int) -> ControlMessage {
        let attempt = AttemptID(request: RequestID(1), ordinal: 1)
        let events = (0..<Int32(count)).map { TokenEvent(attempt: attempt, index: $0, token: $0) }
        return .worker(Envelope(clusterEpoch: ClusterEpoch(1), workerEpoch: WorkerEpoch(2), sequence: 4), .tokens(events))
    }
}
