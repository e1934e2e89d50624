import JSONReader

/// Reads the server-sent events of an OpenAI-compatible server, whatever pieces they arrive in.
struct OpenAIStream {
    enum Item: Sendable, Hashable {
        /// Something of the answer; empty for a token that has nothing to show.
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
            items += Self.items(line)
            rest.removeSubrange(...end)
        }
        if rest.count > Self.longestLine {
            rest = []
            items.append(.failure("a line of more than \(Self.longestLine) bytes"))
        }
        return items
    }

    private static func items(_ line: ArraySlice<UInt8>) -> [Item] {
        let prefix = Array("data:".utf8)
        guard line.starts(with: prefix) else { return [] }
        let data = Array(line.dropFirst(prefix.count).drop { $0 == UInt8(ascii: " ") })
        let text = String(decoding: data, as: UTF8.self)
        if text.hasPrefix("[DONE]") { return [.end] }
        guard let object = (try? JSONDocument(file: "event", source: data))?.root.object else { return [.failure("no JSON: \(text.prefix(80))")] }
        if let error = object["error"], !error.isNull {
            return [.failure(error.object?["message"]?.text ?? "an error without a message")]
        }
        var items: [Item] = []
        if let choice = object["choices"]?.array.flatMap({ Array($0.prefix(1)).first })?.object {
            let delta = choice["delta"]?.object
            let text = choice["text"]?.text ?? delta?["content"]?.text ?? delta?["reasoning_content"]?.text ?? ""
            // A token without text (special, or part of a character) is a token all the same; the mere end of an answer is none.
            let isToken = choice["text"] != nil && choice["finish_reason"]?.isNull != false
            if !text.isEmpty || isToken { items.append(.text(text)) }
        }
        // Some servers tell it beside the last choice.
        if let usage = object["usage"]?.object {
            items.append(.usage(input: usage["prompt_tokens"]?.integer ?? 0, output: usage["completion_tokens"]?.integer ?? 0))
        }
        return items
    }
}
