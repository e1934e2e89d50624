/// The text of server-sent events.
enum ServerSentEvents {
    static let beginning = Array("data: ".utf8)
    static let end = Array("\n\n".utf8)
    static let done = Array("data: [DONE]\n\n".utf8)

    /// The stream has failed: no `[DONE]` follows.
    static func write(failure: APIError, to bytes: inout [UInt8]) {
        bytes += "event: error\n".utf8
        bytes += beginning
        failure.body.write(to: &bytes)
        bytes += end
    }
}
