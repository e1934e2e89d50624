/// What a client is sent.
struct Reply: Sendable {
    /// Takes a stream piece by piece; suspends while the client does not read, throws when it is gone. `arrival` is when what the bytes
    /// tell reached this process, if that is to be counted.
    typealias Sink = (_ bytes: [UInt8], _ arrival: ContinuousClock.Instant?) async throws -> Void

    enum Body: Sendable {
        case whole([UInt8])
        /// Runs to the end of the stream.
        case stream(@Sendable (Sink) async throws -> Void)
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

    /// Server-sent events.
    init(events write: @escaping @Sendable (Sink) async throws -> Void) {
        contentType = "text/event-stream; charset=utf-8"
        headers["Cache-Control"] = "no-cache"
        // Otherwise some proxies collect what should be passed on at once.
        headers["X-Accel-Buffering"] = "no"
        body = .stream(write)
    }
}

/// The text of server-sent events.
enum ServerSentEvents {
    /// What the chunk of a token takes, mostly.
    private static let usualBytes = 320

    static func data(_ chunks: [JSONText]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(chunks.count * usualBytes)
        for chunk in chunks {
            bytes += "data: ".utf8
            chunk.write(to: &bytes)
            bytes += "\n\n".utf8
        }
        return bytes
    }

    /// The stream has failed: no `[DONE]` follows.
    static func failure(_ error: APIError) -> [UInt8] { Array("event: error\n".utf8) + data([error.body]) }

    static let done = Array("data: [DONE]\n\n".utf8)
}
