import NIOCore
import Synchronization

/// Whether a client is still there. Whoever works for it asks to be told when it is not.
final class ConnectionWatch: Sendable {
    private struct State {
        var isGone = false
        var nextKey = 0
        var listeners: [Int: @Sendable () -> Void] = [:]
    }

    private let state = Mutex(State())

    var isGone: Bool { state.withLock { $0.isGone } }

    /// The client has closed its end, or is not reachable any more.
    func end() {
        let listeners = state.withLock { state in
            state.isGone = true
            defer { state.listeners = [:] }
            return state.listeners.sorted { $0.key < $1.key }.map(\.value)
        }
        for listener in listeners { listener() }
    }

    /// Runs `body`; calls `gone` when the client goes meanwhile, or at once if it is gone already.
    func whileConnected<Result>(
        gone: @escaping @Sendable () -> Void, isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
    ) async rethrows -> Result {
        let key = state.withLock { state -> Int? in
            guard !state.isGone else { return nil }
            state.nextKey += 1
            state.listeners[state.nextKey] = gone
            return state.nextKey
        }
        if key == nil { gone() }
        defer { if let key { state.withLock { $0.listeners[key] = nil } } }
        return try await body()
    }
}

/// The connections that are open.
final class Connections: Sendable {
    /// How long tokens took from their arrival to a client's socket.
    let deliveries = DeliveryTimes()
    /// What their requests were answered.
    let replies = ReplyCounts()

    private struct Connection {
        let watch = ConnectionWatch()
        var outlet: StreamOutlet
    }

    private let all = Mutex<[ObjectIdentifier: Connection]>([:])

    var count: Int { all.withLock { $0.count } }

    func open(_ channel: any Channel, _ outlet: StreamOutlet) -> ConnectionWatch {
        let connection = Connection(outlet: outlet)
        all.withLock { $0[ObjectIdentifier(channel)] = connection }
        return connection.watch
    }

    func close(_ channel: any Channel) { all.withLock { $0[ObjectIdentifier(channel)] = nil } }

    /// Where streams go; `nil` of a connection that has ended, or a channel that is no socket (a test's).
    func outlet(of channel: any Channel) -> StreamOutlet? { all.withLock { $0[ObjectIdentifier(channel)]?.outlet } }

    /// One that is closed already has gone; a channel that was never opened (a test's) is there for ever.
    func watch(of channel: any Channel) -> ConnectionWatch {
        if let watch = all.withLock({ $0[ObjectIdentifier(channel)]?.watch }) { return watch }
        let watch = ConnectionWatch()
        channel.closeFuture.whenComplete { _ in watch.end() }
        return watch
    }
}
