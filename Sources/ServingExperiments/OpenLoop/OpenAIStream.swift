import JSONReader

/// Reads the server-sent events of an OpenAI-compatible server, whatever pieces they arrive in.
struct OpenAIStream {
    enum Item: Sendable, Hashable {
        /// Something of the answer.
        case text(String)
        case usage(input: Int, output: Int)
        case failure(String)
        /// `[DONE]`.
        case end
    }

    /// Bytes of a line that is not complete.
    private var rest: [UInt8] = []
    /// Longer lines are no events of such a server.
    private static let longestLine = 16 << 20

    mutating func take(_ bytes: some Sequence<UInt8>) -> [Item] {
        rest += bytes
        var items: [Item] = []
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let line = rest[..<end]
            if let item = Self.item(line) { items.append(item) }
            rest.removeSubrange(...end)
        }
        if rest.count > Self.longestLine {
            rest = []
            items.append(.failure("a line of more than \(Self.longestLine) bytes"))
        }
        return items
    }

    private static func item(_ line: ArraySlice<UInt8>) -> Item? {
        let prefix = Array("data:".utf8)
        guard line.starts(with: prefix) else { return nil }
        let data = Array(line.dropFirst(prefix.count).drop { $0 == UInt8(ascii: " ") })
        let text = String(decoding: data, as: UTF8.self)
        if text.hasPrefix("[DONE]") { return .end }
        guard let object = (try? JSONDocument(file: "event", source: data))?.root.object else { return .failure("no JSON: \(text.prefix(80))") }
        if let error = object["error"], !error.isNull {
            return .failure(error.object?["message"]?.text ?? "an error without a message")
        }
        if let choice = object["choices"]?.array.flatMap({ Array($0.prefix(1)).first })?.object {
            let delta = choice["delta"]?.object
            let text = choice["text"]?.text ?? delta?["content"]?.text ?? delta?["reasoning_content"]?.text ?? ""
            return text.isEmpty ? nil : .text(text)
        }
        guard let usage = object["usage"]?.object else { return nil }
        return .usage(input: usage["prompt_tokens"]?.integer ?? 0, output: usage["completion_tokens"]?.integer ?? 0)
    }
}
