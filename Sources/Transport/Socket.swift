import CZeroMQ
import Foundation
import Wire

/// A ZeroMQ socket. Belongs to the ``SocketThread`` that made it and must not leave it.
final class Socket {
    enum Kind {
        /// Many peers; each message names one.
        case router
        /// One peer.
        case dealer
        /// The other end of a monitor, within the process.
        case pair

        var zmqType: Int32 {
            switch self {
            case .router: ZMQ_ROUTER
            case .dealer: ZMQ_DEALER
            case .pair: ZMQ_PAIR
            }
        }
    }

    /// What became of a message.
    enum Sending: Hashable {
        case sent
        /// The peer does not keep up and its queue is full.
        case full
        /// Nobody with that name is connected.
        case unreachable
    }

    /// Frames of one message that are kept; the rest of a longer message is read and dropped.
    static let maxFrames = 128

    let handle: UnsafeMutableRawPointer
    private let kind: Kind
    private(set) var isClosed = false
    private let security: LinkSecurity

    init(_ kind: Kind, context: Context, security: LinkSecurity, maxMessageBytes: Int) throws(TransportError) {
        handle = try context.makeSocket(kind.zmqType)
        self.kind = kind
        self.security = security
        try set(ZMQ_LINGER, 0)
        try set(ZMQ_SNDHWM, 4096)
        try set(ZMQ_RCVHWM, 4096)
        try set(ZMQ_HANDSHAKE_IVL, 2000)
        try set(ZMQ_RECONNECT_IVL, 50)
        try set(ZMQ_RECONNECT_IVL_MAX, 1000)
        try set(ZMQ_TCP_KEEPALIVE, 1)
        try setWide(ZMQ_MAXMSGSIZE, Int64(maxMessageBytes))
        switch kind {
        case .router: try set(ZMQ_ROUTER_MANDATORY, 1)
        case .dealer: try set(ZMQ_IMMEDIATE, 1)
        case .pair: break
        }
    }

    deinit { close() }

    private func set(_ option: Int32, _ value: Int32) throws(TransportError) {
        var value = value
        guard zmq_setsockopt(handle, option, &value, MemoryLayout<Int32>.size) == 0 else {
            throw .last("zmq_setsockopt \(option)")
        }
    }

    private func setWide(_ option: Int32, _ value: Int64) throws(TransportError) {
        var value = value
        guard zmq_setsockopt(handle, option, &value, MemoryLayout<Int64>.size) == 0 else {
            throw .last("zmq_setsockopt \(option)")
        }
    }

    /// - Returns: where it is bound, with the port that the system chose for `*`.
    func bind(to endpoint: Endpoint) throws(TransportError) -> Endpoint {
        try security.permitBind(to: endpoint)
        try allowIPv6(for: endpoint)
        guard zmq_bind(handle, endpoint.description) == 0 else { throw .last("bind", endpoint: "\(endpoint)") }
        var text = [CChar](repeating: 0, count: 256)
        var length = text.count
        guard zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &text, &length) == 0 else {
            throw .last("zmq_getsockopt", endpoint: "\(endpoint)")
        }
        return try Endpoint(String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
    }

    func connect(to endpoint: Endpoint) throws(TransportError) {
        try allowIPv6(for: endpoint)
        guard zmq_connect(handle, endpoint.description) == 0 else { throw .last("connect", endpoint: "\(endpoint)") }
    }

    /// Only for an address of that family: a name would be looked up in it first, where its other end may not listen.
    private func allowIPv6(for endpoint: Endpoint) throws(TransportError) {
        if case .tcp(let host, _) = endpoint.kind, host.hasPrefix("[") { try set(ZMQ_IPV6, 1) }
    }

    var isReadable: Bool {
        var events: Int32 = 0
        var length = MemoryLayout<Int32>.size
        return zmq_getsockopt(handle, ZMQ_EVENTS, &events, &length) == 0 && events & ZMQ_POLLIN != 0
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        zmq_close(handle)
    }

    // MARK: Sending

    /// Sends all frames or none.
    func send(_ frames: [Frame]) throws(TransportError) -> Sending {
        precondition(!frames.isEmpty && !isClosed, "\(frames.count) frames on a socket, closed: \(isClosed)")
        for (index, frame) in frames.enumerated() {
            let message = MessagePointer(frame)
            let flags = ZMQ_DONTWAIT | (index + 1 < frames.count ? ZMQ_SNDMORE : 0)
            if zmq_msg_send(message.pointer, handle, flags) >= 0 {
                message.deallocate()
                continue
            }
            let code = zmq_errno()
            zmq_msg_close(message.pointer)
            message.deallocate()
            // The connection ended within the message: libzmq drops all frames up to the last, so give it one.
            if index > 0, index + 1 < frames.count { zmq_send(handle, nil, 0, ZMQ_DONTWAIT) }
            switch code {
            case EAGAIN: return .full
            case EHOSTUNREACH: return .unreachable
            case EINTR: return .full
            default: throw .system(operation: "send", endpoint: "", code: code)
            }
        }
        return .sent
    }

    // MARK: Receiving

    /// The next message; `nil` when there is none. Of a message with too many frames nothing is returned (by a
    /// router: only the peer's name), which no protocol takes for a message.
    func receive() throws(TransportError) -> [Frame]? {
        var frames: [Frame] = []
        var isTooLong = false
        while true {
            let message = MessagePointer()
            guard zmq_msg_recv(message.pointer, handle, ZMQ_DONTWAIT) >= 0 else {
                let code = zmq_errno()
                zmq_msg_close(message.pointer)
                message.deallocate()
                if code == EAGAIN || code == EINTR { return nil }
                throw .system(operation: "receive", endpoint: "", code: code)
            }
            let hasMore = zmq_msg_more(message.pointer) != 0
            let frame = Frame(received: message)
            if frames.count < Self.maxFrames { frames.append(frame) } else { isTooLong = true }
            if !hasMore { return isTooLong ? Array(frames.prefix(kind == .router ? 1 : 0)) : frames }
        }
    }
}
