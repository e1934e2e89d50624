import Foundation

/// A TCP connection to this machine's HTTP server that sends requests, reads nothing, and can be cut at any moment.
struct LoopbackConnection: Sendable {
    private let descriptor: Int32

    /// - Throws: `POSIXError` if nobody listens at `port`, or no descriptor is left.
    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Self.lastError }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(clamping: port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let outcome = withUnsafePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard outcome == 0 else {
            let error = Self.lastError
            close(descriptor)
            throw error
        }
    }

    /// - Throws: `POSIXError` if the server has closed the connection.
    func post(_ path: String, json: String) throws {
        let head = "POST \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: \(json.utf8.count)\r\n\r\n"
        var rest = Array((head + json).utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw Self.lastError }
            rest = rest.dropFirst(count)
        }
    }

    /// Ends the connection without a word. To be called once, as the last thing.
    func cut() { close(descriptor) }

    /// Ends it so that this side keeps nothing of it, not even its port. Like ``cut()`` otherwise.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close(descriptor)
    }

    private static var lastError: POSIXError { POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
}
