/// Which pages in browsers may use the gateway (CORS): those of the origins that were allowed, none otherwise.
struct CrossOrigin: Sendable {
    let allowedOrigins: [String]

    /// Headers of every answer to a page of `origin`.
    func headers(origin: String?) -> [String: String] {
        guard let origin, allowedOrigins.contains(origin) || allowedOrigins.contains("*") else { return [:] }
        if allowedOrigins.contains("*") { return ["Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "X-Request-Id"] }
        return [
            "Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "X-Request-Id", "Vary": "Origin",
        ]
    }

    /// The answer to a browser that asks beforehand; `nil` if it may not, or does not ask.
    func preflight(method: String, origin: String?, requestedHeaders: String?) -> Reply? {
        guard method == "OPTIONS", !headers(origin: origin).isEmpty else { return nil }
        var reply = Reply(text: "", contentType: "text/plain")
        reply.status = 204
        reply.headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE, OPTIONS"
        reply.headers["Access-Control-Allow-Headers"] = requestedHeaders ?? "authorization, content-type"
        reply.headers["Access-Control-Max-Age"] = "3600"
        return reply
    }
}
