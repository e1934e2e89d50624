/// What can be asked of the gateway.
enum Route: Hashable, Sendable {
    case models
    case model(String)
    case completions
    case chatCompletions
    case tokenize
    case detokenize
    case health
    case liveness
    case readiness
    case version
    case metrics
    case jobs(JobRoute)

    /// - Parameter path: without the query.
    /// - Throws: ``APIError`` 404 or 405.
    init(method: String, path: String) throws(APIError) {
        if let jobs = try JobRoute(method: method, path: Self.withoutLastSlash(path)) {
            self = .jobs(jobs)
            return
        }
        guard let route = Self.route(of: path) else { throw .noRoute(path) }
        // HEAD is GET without the body.
        guard route.method == method || (method == "HEAD" && route.method == "GET") else {
            throw .noMethod(method, path, allow: route.method == "GET" ? ["GET", "HEAD"] : [route.method])
        }
        self = route
    }

    /// One slash at the end makes no difference.
    private static func withoutLastSlash(_ path: String) -> String {
        path.utf8.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    private static func route(of path: String) -> Route? {
        let path = withoutLastSlash(path)
        switch path {
        case "/v1/models": return .models
        case "/v1/completions": return .completions
        case "/v1/chat/completions": return .chatCompletions
        case "/tokenize": return .tokenize
        case "/detokenize": return .detokenize
        case "/health": return .health
        case "/livez": return .liveness
        case "/readyz": return .readiness
        case "/version": return .version
        case "/metrics": return .metrics
        default:
            // A model's name may hold slashes.
            let prefix = "/v1/models/"
            guard path.hasPrefix(prefix) else { return nil }
            return .model(PercentEncoding.decode(path.dropFirst(prefix.count)))
        }
    }

    var method: String {
        switch self {
        case .completions, .chatCompletions, .tokenize, .detokenize: "POST"
        case .models, .model, .health, .liveness, .readiness, .version, .metrics: "GET"
        case .jobs(let route): route.method
        }
    }

    /// Whether it needs an API key where there are any. Whoever runs the process asks the others.
    var isProtected: Bool {
        switch self {
        case .liveness, .readiness: false
        default: true
        }
    }
}

enum PercentEncoding {
    /// `%41` as `A`; what is no such escape stays as it is, and bytes that are no UTF-8 become U+FFFD.
    static func decode(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2, rest.prefix(2).allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
