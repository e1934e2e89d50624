import ClusterCore

@testable import Wire

/// The kinds of messages that share a header and a socket.
enum Family: String, CaseIterable, Sendable {
    case control, kvSending, kvReceiving, client, server

    /// Decodes and encodes again.
    func reencode(_ frames: [Frame]) throws -> [Frame] {
        switch self {
        case .control: try ControlMessage(frames: frames).frames()
        case .kvSending: try KVSending(frames: frames).frames()
        case .kvReceiving: try KVReceiving(frames: frames).frames()
        case .client: try ClientMessage(frames: frames).frames()
        case .server: try ServerMessage(frames: frames).frames()
        }
    }

    /// What the family's errors call a message before it is known which it is.
    var name: String {
        switch self {
        case .control: "control"
        case .kvSending: "KV"
        case .kvReceiving: "KV reply"
        case .client: "client message"
        case .server: "server message"
        }
    }

    func samples(_ random: inout SeededGenerator) throws -> [[Frame]] {
        switch self {
        case .control: try random.control().map { try $0.frames() }
        case .kvSending: try random.kvSending().map { try $0.frames() }
        case .kvReceiving: try random.kvReceiving().map { try $0.frames() }
        case .client: try random.client().map { try $0.frames() }
        case .server: try random.server().map { try $0.frames() }
        }
    }
}
