import ClusterCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import JSONReader
import Logging
import NIOCore

/// What Hummingbird knows of a request besides itself.
struct GatewayContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }
}

/// From HTTP to the desk and back: who asks, what is asked, and whether the body can be read.
struct GatewayResponder: HTTPResponder {
    let desk: ServingDesk
    let configuration: GatewayConfiguration
    let connections: Connections
    let logger: Logger
    private let crossOrigin: CrossOrigin
    private let bodies: BodyBudget
    private let idempotency = IdempotencyStore()
    /// By the index of their keys.
    private let tenants: [Tenant]

    init(desk: ServingDesk, configuration: GatewayConfiguration, connections: Connections, logger: Logger) {
        self.desk = desk
        self.configuration = configuration
        self.connections = connections
        self.logger = logger
        crossOrigin = CrossOrigin(allowedOrigins: configuration.allowedOrigins)
        bodies = BodyBudget(bytes: configuration.maxBodyBytesAtOnce)
        tenants = configuration.apiKeys.limits.map(Tenant.init)
    }

    func respond(to request: Request, context: GatewayContext) async -> Response {
        let id = Exchange.id(given: request.headers[.requestID], random: .random(in: 0 ... .max))
        var logger = logger
        logger[metadataKey: "request"] = "\(id)"
        let exchange = Exchange(id: id, logger: logger, watch: connections.watch(of: context.channel))
        var reply: Reply
        do {
            reply = try await self.reply(to: request, exchange)
        } catch {
            reply = Reply(error)
        }
        connections.replies.note(reply.status)
        reply.headers["X-Request-Id"] = id
        reply.headers.merge(crossOrigin.headers(origin: request.headers[.origin])) { $1 }
        let line = RequestLine(method: request.method.rawValue, path: request.uri.path, status: reply.status, exchange: exchange)
        return Response(reply, isHead: request.method == .head, line, connections.outlet(of: context.channel))
    }

    private func reply(to request: Request, _ exchange: Exchange) async throws(APIError) -> Reply {
        let preflight = crossOrigin.preflight(
            method: request.method.rawValue, origin: request.headers[.origin],
            requestedHeaders: request.headers[.accessControlRequestHeaders])
        if let preflight { return preflight }
        let route = try Route(method: request.method.rawValue, path: request.uri.path)
        var exchange = exchange
        if route.isProtected {
            switch configuration.apiKeys.admit(authorization: request.headers[.authorization]) {
            case .anybody: break
            case .key(let index): exchange.tenant = tenants[index]
            case .nobody: throw .missingKey
            }
        }
        // A batch is made from a JSON body, as an answer is; the rest of jobs is not.
        if case .jobs(let job) = route, job != .createBatch { return try await reply(to: job, request) }
        guard route.method == "POST" else { return try await desk.reply(to: route, body: nil, exchange) }
        guard isJSON(request.headers[.contentType]) else { throw .notJSON }
        return try await withBody(of: request, exchange) { [exchange] bytes throws(APIError) in
            guard let key = request.headers[.idempotencyKey] else { return try await answer(route, bytes, exchange) }
            return try await answerOnce(route, bytes, exchange, key: key, request)
        }
    }

    private func answer(_ route: Route, _ body: [UInt8], _ exchange: Exchange) async throws(APIError) -> Reply {
        try await desk.reply(to: route, body: try Self.object(body), exchange)
    }

    // MARK: The body

    private func isJSON(_ contentType: String?) -> Bool {
        guard let contentType else { return true }
        let type = contentType.prefix { $0 != ";" }.trimmingPrefix { $0 == " " }.lowercased()
        return type == "application/json" || type.hasSuffix("+json") || type.isEmpty
    }

    private func withBody(
        of request: Request, _ exchange: Exchange, _ body: ([UInt8]) async throws(APIError) -> Reply
    ) async throws(APIError) -> Reply {
        let limit = configuration.maxBodyBytes
        if let size = request.headers[.contentLength].flatMap({ Int($0) }), size > limit { throw .bodyTooLarge(limit: limit) }
        var bytes: [UInt8] = []
        defer { bodies.giveBack(bytes.count) }
        do {
            for try await part in request.body {
                guard bytes.count + part.readableBytes <= limit else { throw APIError.bodyTooLarge(limit: limit) }
                // Counted as they come: whoever promises much and sends little takes little room.
                guard bodies.take(part.readableBytes) else {
                    throw APIError(RequestFailure(code: .overloaded, message: "too many long requests at once"))
                }
                bytes += part.readableBytesView
            }
        } catch let error as APIError {
            throw error
        } catch {
            throw .cutBody
        }
        if exchange.watch.isGone { throw .cutBody }
        return try await body(bytes)
    }

    private static func object(_ body: [UInt8]) throws(APIError) -> JSONObject {
        let document: JSONDocument
        do {
            document = try JSONDocument(file: "body", source: body)
        } catch {
            throw APIError(400, "the body is not valid JSON: \(error)", code: "invalid_json")
        }
        guard let object = document.root.object else {
            throw APIError(400, "the body must be a JSON object, not \(document.root.shown)", code: "invalid_json")
        }
        return object
    }

    // MARK: Once

    private func answerOnce(
        _ route: Route, _ body: [UInt8], _ exchange: Exchange, key: String, _ request: Request
    ) async throws(APIError) -> Reply {
        guard (1...255).contains(key.utf8.count) else {
            throw APIError(400, "Idempotency-Key: must have 1 to 255 bytes", parameter: "Idempotency-Key", code: "invalid_value")
        }
        // Nobody gets an answer that was made for another caller.
        let caller = request.headers[.authorization] ?? ""
        let name = IdempotencyStore.digest(Array(caller.utf8)).map { String($0, radix: 16) }.joined(separator: ".") + " " + key
        switch idempotency.claim(name, request: IdempotencyStore.digest(Array(request.uri.path.utf8), body)) {
        case .conflict:
            throw APIError(
                422, "Idempotency-Key: was used with another body", parameter: "Idempotency-Key", code: "idempotency_key_reused")
        case .known(let recording): return try await recording.read(exchange.watch)
        case .new(let recording):
            var exchange = exchange
            let watch = exchange.watch
            exchange.watch = recording.watch
            Task { [exchange] in
                let reply: Reply
                do throws(APIError) {
                    reply = try await answer(route, body, exchange)
                } catch {
                    reply = Reply(error)
                    // Wrong now, wrong ever; the rest may succeed when it is sent again.
                    if error.status != 400, error.status != 404 { idempotency.forget(name, recording) }
                }
                await recording.record(reply)
            }
            return try await recording.read(watch)
        }
    }
}
