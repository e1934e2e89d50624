import ClusterCore

/// Why a request has no answer, in OpenAI's shape.
public struct APIError: Error, Sendable, Hashable {
    /// HTTP status.
    public var status: Int
    /// OpenAI's coarse kind, e.g. `invalid_request_error`.
    public var type: String
    public var message: String
    /// The parameter at fault, as the API spells it.
    public var parameter: String?
    /// For programs, e.g. `model_not_found`.
    public var code: String?
    /// Seconds after which the same request may succeed.
    public var retryAfter: Int?
    /// Methods that the route has, where the one asked for is not among them.
    public var allow: [String] = []

    init(
        _ status: Int, _ message: String, type: String = "invalid_request_error", parameter: String? = nil,
        code: String? = nil, retryAfter: Int? = nil
    ) {
        self.status = status
        self.type = type
        self.message = message
        self.parameter = parameter
        self.code = code
        self.retryAfter = retryAfter
    }

    /// A parameter with a value that cannot be used.
    static func invalid(_ parameter: String, _ problem: String, code: String = "invalid_value") -> APIError {
        APIError(400, "\(parameter): \(problem)", parameter: parameter, code: code)
    }

    /// `{"error": {"message", "type", "param", "code"}}`.
    var body: JSONText {
        [
            "error": [
                "message": .string(message), "type": .string(type), "param": JSONText(parameter), "code": JSONText(code),
            ]
        ]
    }
}

extension APIError {
    /// Seconds that a client should wait when the cluster has no room or no worker.
    static let retryPause = 1

    /// - Parameter tokenCount: tokens of the answer that were made before the failure.
    init(_ failure: RequestFailure, tokenCount: Int = 0) {
        switch failure.code {
        case .invalid:
            // A constraint came as a form of the answer.
            let parameter = failure.message.hasPrefix("constraint:") ? "response_format" : Self.leadingParameter(of: failure.message)
            self.init(400, failure.message, parameter: parameter, code: "invalid_value")
        case .overloaded:
            self.init(
                503, "the server is overloaded: \(failure.message)", type: "server_error", code: "overloaded",
                retryAfter: Self.retryPause)
        case .draining:
            self.init(503, failure.message, type: "server_error", code: "shutting_down", retryAfter: Self.retryPause)
        case .noWorker:
            self.init(503, failure.message, type: "server_error", code: "no_worker", retryAfter: Self.retryPause)
        case .expired: self.init(408, failure.message, type: "timeout_error", code: "timeout")
        case .timedOut:
            self.init(504, "\(failure.message), after \(tokenCount) tokens", type: "timeout_error", code: "timeout")
        case .cancelled: self.init(499, failure.message, type: "cancelled_error", code: "cancelled")
        case .failed: self.init(500, failure.message, type: "server_error", code: "internal_error")
        }
    }

    /// What the core found wrong begins with the parameter's name: `max_tokens: …` or `temperature must be …`.
    private static func leadingParameter(of message: String) -> String? {
        let name = message.prefix { $0 == "_" || ($0.isASCII && $0.isLowercase) }
        let rest = message.dropFirst(name.count)
        let isKnown = SharedParameters.names.contains(String(name)) || name == "prompt"
        return isKnown && (rest.first == ":" || rest.first == " " || rest.first == "[") ? String(name) : nil
    }

    // MARK: Before a request is understood

    static let missingKey = APIError(
        401, "no valid API key: send it as \"Authorization: Bearer KEY\"", type: "authentication_error",
        code: "invalid_api_key")

    /// Nothing was done before the client's time was over.
    static var expired: APIError { APIError(RequestFailure(code: .expired, message: "the time limit passed before any work began")) }

    /// A tenant's limit is reached.
    static func tooMany(_ limit: String, retryAfter: Int) -> APIError {
        APIError(
            429, "this key's limit is reached: \(limit)", type: "rate_limit_error", code: "rate_limit_exceeded", retryAfter: retryAfter)
    }

    static func noRoute(_ path: String) -> APIError { APIError(404, "no such path: \(path)", code: "unknown_url") }

    static func noMethod(_ method: String, _ path: String, allow: [String]) -> APIError {
        var error = APIError(
            405, "\(path) has no method \(method), only \(allow.joined(separator: ", "))", code: "method_not_allowed")
        error.allow = allow
        return error
    }

    static func noModel(_ name: String, served: String) -> APIError {
        APIError(
            404, "the model \"\(name)\" does not exist here; this server has \"\(served)\"", parameter: "model",
            code: "model_not_found")
    }

    static func bodyTooLarge(limit: Int) -> APIError {
        APIError(413, "the body is longer than \(limit) bytes", code: "body_too_large")
    }

    static let notJSON = APIError(
        415, "the body must be JSON: send \"Content-Type: application/json\"", code: "unsupported_media_type")

    static let slowBody = APIError(408, "the body did not arrive in time", type: "timeout_error", code: "timeout")

    static let cutBody = APIError(400, "the body ended early", code: "invalid_body")
}
