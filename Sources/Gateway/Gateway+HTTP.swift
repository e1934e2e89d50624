import ClusterCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore

extension HTTPField.Name {
    static let requestID = token("X-Request-Id")
    static let idempotencyKey = token("Idempotency-Key")

    /// - Parameter name: one that HTTP allows.
    private static func token(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("no name of a header: \(name)") }
        return name
    }
}

/// What is logged of a request when it has been answered.
struct RequestLine: Sendable {
    var method: String
    var path: String
    var status: Int
    var exchange: Exchange

    func log(isWhole: Bool = true) {
        let milliseconds = (ContinuousClock.now - exchange.arrival) / .milliseconds(1)
        exchange.logger.info(
            "\(method) \(path.prefix(200)) \(status)",
            metadata: [
                "milliseconds": "\(Int(milliseconds))", "client": isWhole && !exchange.watch.isGone ? "served" : "gone",
            ])
    }
}

extension Response {
    /// - Parameter outlet: of the connection.
    init(_ reply: Reply, isHead: Bool, _ line: RequestLine, _ outlet: StreamOutlet?) {
        var fields = HTTPFields()
        fields[.contentType] = reply.contentType
        for (name, value) in reply.headers.sorted(by: { $0.key < $1.key }) {
            guard let name = HTTPField.Name(name) else { preconditionFailure("no name of a header: \(name)") }
            fields[name] = value
        }
        let status = HTTPResponse.Status(code: reply.status)
        switch reply.body {
        case .whole(let bytes):
            line.log()
            // The length is told even if there is no body to follow.
            fields[.contentLength] = reply.status == 204 ? nil : String(bytes.count)
            self.init(status: status, headers: fields, body: isHead ? ResponseBody() : ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
        case .stream(let stream):
            let body = Self.body(line) { sink in
                try await line.exchange.watch.whileConnected(gone: stream.abandon) {
                    if let outlet { try await outlet.send(stream) } else { try await stream.drain(sink) }
                }
            }
            self.init(status: status, headers: fields, body: body)
        case .pieces(let write): self.init(status: status, headers: fields, body: Self.body(line, write))
        }
    }

    private static func body(_ line: RequestLine, _ write: @escaping @Sendable (Reply.Sink) async throws -> Void) -> ResponseBody {
        ResponseBody { writer in
            do {
                try await write { try await writer.write(ByteBuffer(bytes: $0)) }
            } catch {
                line.log(isWhole: false)
                throw error
            }
            line.log()
            try await writer.finish(nil)
        }
    }
}
