import Foundation

/// Lines of output and error files, in OpenAI's shape.
enum LineText {
    static func reply(_ reply: LineReply, to line: JobLine) -> [UInt8] {
        let head = #"{"id":"\#(id(of: line))","custom_id":\#(quoted(line.customID)),"response":"#
        let response = #"{"status_code":\#(reply.status),"request_id":\#(quoted(reply.requestID)),"body":"#
        return Array((head + response).utf8) + reply.body + Array("},\"error\":null}".utf8)
    }

    /// A line that was not asked.
    static func failure(of line: JobLine, code: String, message: String) -> [UInt8] {
        let head = #"{"id":"\#(id(of: line))","custom_id":\#(quoted(line.customID)),"response":null,"#
        return Array((head + #""error":{"code":\#(quoted(code)),"message":\#(quoted(message))}}"#).utf8)
    }

    /// The same however often it is asked: batch and line, in hexadecimal.
    private static func id(of line: JobLine) -> String {
        "batch_req_\(String(line.batch, radix: 16))_\(String(line.number, radix: 16))"
    }

    private static func quoted(_ text: String) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        // A string always has a JSON text; the empty one stands for what cannot happen.
        return (try? encoder.encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
    }
}
