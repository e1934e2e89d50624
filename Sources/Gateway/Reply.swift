/// What a client is sent.
struct Reply: Sendable {
    /// Takes a body piece by piece; suspends while the client does not read, throws when it is gone.
    typealias Sink = (_ bytes: [UInt8]) async throws -> Void

    enum Body: Sendable {
        case whole([UInt8])
        case stream(any ReplyStream)
        /// Runs to the end of what is there already but too long to hold: a file.
        case pieces(@Sendable (Sink) async throws -> Void)
    }

    var status = 200
    var contentType = "application/json"
    /// Further headers, by name.
    var headers: [String: String] = [:]
    var body: Body

    init(_ json: JSONText) { body = .whole(json.utf8) }

    init(text: String, contentType: String) {
        self.contentType = contentType
        body = .whole(Array(text.utf8))
    }

    init(_ error: APIError) {
        status = error.status
        body = .whole(error.body.utf8)
        if let pause = error.retryAfter { headers["Retry-After"] = String(pause) }
        if !error.allow.isEmpty { headers["Allow"] = error.allow.joined(separator: ", ") }
        if error.status == 401 { headers["WWW-Authenticate"] = "Bearer" }
        // The rest of such a body is not worth reading.
        if [401, 413, 415].contains(error.status) { headers["Connection"] = "close" }
    }

    /// A download.
    init(file write: @escaping @Sendable (Sink) async throws -> Void) {
        contentType = "application/octet-stream"
        headers["Content-Disposition"] = "attachment"
        body = .pieces(write)
    }

    /// Server-sent events.
    init(events: any ReplyStream) {
        contentType = "text/event-stream; charset=utf-8"
        headers["Cache-Control"] = "no-cache"
        // Otherwise some proxies collect what should be passed on at once.
        headers["X-Accel-Buffering"] = "no"
        body = .stream(events)
    }
}
