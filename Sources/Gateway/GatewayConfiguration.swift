/// How the gateway meets the world.
public struct GatewayConfiguration: Sendable {
    /// Name or address to bind.
    public var host: String
    /// 0: the system chooses.
    public var port: Int
    public var apiKeys: APIKeys
    /// Origins of pages that may ask from a browser; `*` for all.
    public var allowedOrigins: [String]
    /// Bytes of a request's body.
    public var maxBodyBytes = 8 << 20
    /// Bytes of all bodies that are being read and understood at the same time.
    public var maxBodyBytesAtOnce = 64 << 20
    /// Bytes of a request's headers together.
    public var maxHeaderBytes = 32 << 10
    public var maxConnections = 20_000
    /// How long a connection may be open with nothing going on, and how long the head of a request may take to come.
    public var idleTimeout = Duration.seconds(120)
    /// How long a body may take.
    public var bodyTimeout = Duration.seconds(60)
    /// How long the upload of a file may take.
    public var uploadTimeout = Duration.seconds(3600)
    /// How long a client may leave what it is sent unread.
    public var stallTimeout = Duration.seconds(60)

    public init(host: String, port: Int, apiKeys: APIKeys = APIKeys(), allowedOrigins: [String] = []) {
        self.host = host
        self.port = port
        self.apiKeys = apiKeys
        self.allowedOrigins = allowedOrigins
    }

    /// As it stands in an address.
    public var shownHost: String { host.contains(":") ? "[\(host)]" : host }

    /// Whether only this machine can reach it.
    public var isLocal: Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        let isLoopback = parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
        return host == "localhost" || host == "::1" || isLoopback
    }
}
