import Foundation

/// An endpoint on this machine that nobody listens on.
/// - Throws: ``POSIXError`` if the system refuses a socket.
public func freeLoopbackEndpoint() throws -> String { "tcp://127.0.0.1:\(try freeLoopbackPort())" }

/// The port of such an endpoint.
///
/// Drawn below the ports that systems give to outgoing connections: one of those may be taken by anybody's connection before it is
/// bound again.
public func freeLoopbackPort() throws -> Int {
    for _ in 0..<64 {
        if let port = try bindLoopback(to: UInt16.random(in: 20_000..<32_000)) { return port }
    }
    guard let port = try bindLoopback(to: 0) else { throw POSIXError(.EADDRINUSE) }
    return port
}

/// - Returns: the port that could be bound, free again; `nil` if it is taken.
private func bindLoopback(to port: UInt16) throws -> Int? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw POSIXError(.EMFILE) }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
            bind(descriptor, generic, length) == 0 && getsockname(descriptor, generic, &length) == 0
        }
    }
    return isBound ? Int(UInt16(bigEndian: address.sin_port)) : nil
}
