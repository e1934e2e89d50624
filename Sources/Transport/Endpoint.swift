import Foundation

/// Where a socket binds or connects: `tcp://HOST:PORT` or `ipc://PATH`.
public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
    public enum Kind: Sendable, Hashable {
        /// `port` is `nil` for `*`: the system chooses.
        case tcp(host: String, port: UInt16?)
        case ipc(path: String)
    }

    public let kind: Kind

    /// - Throws: ``TransportError/malformedEndpoint(_:problem:)``.
    public init(_ text: String) throws(TransportError) {
        if let path = text.trimmed(prefix: "ipc://") {
            guard !path.isEmpty, path.utf8.count <= 107, !path.utf8.contains(0) else {
                throw .malformedEndpoint(text, problem: "a socket's path has 1 to 107 bytes")
            }
            kind = .ipc(path: path)
            return
        }
        guard let rest = text.trimmed(prefix: "tcp://") else {
            throw .malformedEndpoint(text, problem: "unknown kind")
        }
        guard let colon = rest.lastIndex(of: ":") else { throw .malformedEndpoint(text, problem: "no port") }
        let host = String(rest[..<colon])
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ";") }) else {
            throw .malformedEndpoint(text, problem: "no host")
        }
        let digits = rest[rest.index(after: colon)...]
        if digits == "*" {
            kind = .tcp(host: host, port: nil)
        } else if digits.isDecimal, let port = UInt16(digits), port > 0 {
            kind = .tcp(host: host, port: port)
        } else {
            throw .malformedEndpoint(text, problem: "\"\(digits)\" is no port")
        }
    }

    /// Whether only this machine can reach a socket bound here.
    public var isLocal: Bool {
        switch kind {
        case .ipc: true
        case .tcp(let host, _): host == "localhost" || host == "[::1]" || Self.isLoopbackIPv4(host)
        }
    }

    /// Whether it stands for every interface, so that nobody can connect to it by this name.
    public var isWildcardHost: Bool {
        if case .tcp(let host, _) = kind { return ["*", "0.0.0.0", "[::]"].contains(host) }
        return false
    }

    /// The same with another host, e.g. a name under which others know this machine.
    public func withHost(_ host: String) throws(TransportError) -> Endpoint {
        guard case .tcp(_, let port) = kind else { return self }
        return try Endpoint("tcp://\(host):\(port.map(String.init) ?? "*")")
    }

    public var description: String {
        switch kind {
        case .tcp(let host, let port): "tcp://\(host):\(port.map(String.init) ?? "*")"
        case .ipc(let path): "ipc://\(path)"
        }
    }

    private static func isLoopbackIPv4(_ host: String) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { $0.isDecimal && UInt8($0) != nil }
    }
}

extension Substring {
    /// Digits alone: integers' initializers also take a sign.
    fileprivate var isDecimal: Bool { utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 } }
}

extension String {
    fileprivate func trimmed(prefix: String) -> String? {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil
    }
}

/// How a link is protected. Every socket is made with one.
public struct LinkSecurity: Sendable, Hashable {
    /// Whether sockets that other machines can reach may go without encryption.
    public var allowsInsecureNetwork: Bool

    public init(allowsInsecureNetwork: Bool) { self.allowsInsecureNetwork = allowsInsecureNetwork }

    /// Only this machine can connect.
    public static let loopbackOnly = LinkSecurity(allowsInsecureNetwork: false)

    /// - Throws: ``TransportError/insecureBind(_:)``.
    public func permitBind(to endpoint: Endpoint) throws(TransportError) {
        guard endpoint.isLocal || allowsInsecureNetwork else { throw .insecureBind("\(endpoint)") }
    }
}
