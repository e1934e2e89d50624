import CZeroMQ
import Synchronization

/// Hears from libzmq when a socket's connection ends.
final class SocketMonitor {
    private static let counter = Atomic<UInt64>(0)

    private let watched: Socket
    private let events: Socket
    private let thread: SocketThread

    init(_ watched: Socket, on thread: SocketThread, _ disconnected: @escaping () -> Void) throws {
        let name = "inproc://monitor-\(Self.counter.add(1, ordering: .relaxed).newValue)"
        guard zmq_socket_monitor(watched.handle, name, Int32(ZMQ_EVENT_DISCONNECTED)) == 0 else {
            throw TransportError.last("zmq_socket_monitor")
        }
        self.watched = watched
        self.thread = thread
        events = try thread.makeSocket(.pair, security: .loopbackOnly, maxMessageBytes: 4096)
        guard zmq_connect(events.handle, name) == 0 else { throw TransportError.last("connect", endpoint: name) }
        thread.register(events) { [events] in
            var count = 0
            while !events.isClosed, (try? events.receive()) ?? nil != nil { count += 1 }
            if count > 0 { disconnected() }
        }
    }

    func close() {
        thread.unregister(events)
        zmq_socket_monitor(watched.handle, nil, 0)
        events.close()
    }
}

extension Socket {
    func monitorDisconnects(on thread: SocketThread, _ disconnected: @escaping () -> Void) throws -> SocketMonitor {
        try SocketMonitor(self, on: thread, disconnected)
    }
}
