import CZeroMQ
import Foundation

/// What went wrong with a socket, and where.
public enum TransportError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A call of libzmq failed; `code` is its errno.
    case system(operation: String, endpoint: String, code: Int32)
    case malformedEndpoint(String, problem: String)
    /// A bind that others could reach, without encryption and without the word that this is wanted.
    case insecureBind(String)

    static func last(_ operation: String, endpoint: String = "") -> TransportError {
        .system(operation: operation, endpoint: endpoint, code: zmq_errno())
    }

    public var description: String {
        switch self {
        case .system(let operation, let endpoint, let code):
            "\(operation)\(endpoint.isEmpty ? "" : " \(endpoint)"): \(String(cString: zmq_strerror(code)))"
        case .malformedEndpoint(let text, let problem):
            "endpoint \"\(text)\": \(problem); expected tcp://HOST:PORT or ipc://PATH"
        case .insecureBind(let endpoint):
            "\(endpoint) can be reached from other machines and is not encrypted; say --insecure-network if that is wanted"
        }
    }
}
