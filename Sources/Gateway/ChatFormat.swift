import ClusterCore
import Generation
import Tokenizer

/// Answers in the shape of `/v1/chat/completions`.
struct ChatFormat: AnswerFormat {
    private struct Call: Sendable {
        var id: String
        var name: String
        var arguments: String
    }

    private struct Choice: Sendable {
        var content = ""
        var calls: [Call] = []
        var tokens: [ScoredToken] = []
        var reason: FinishReason?
        var reader: (any ToolCallReading)?
        var hasBegun = false

        /// Text as it is, unless somebody looks for tool calls in it.
        mutating func pieces(of text: String) -> [ChatPiece] {
            reader?.append(text) ?? (text.isEmpty ? [] : [.content(text)])
        }

        mutating func lastPieces(of text: String) -> [ChatPiece] {
            pieces(of: text) + (reader?.finish() ?? [])
        }

        /// Why the answer ended, as the API has it.
        var finishReason: String? { reason.map { $0 == .stop && !calls.isEmpty ? "tool_calls" : $0.rawValue } }
    }

    private let head: AnswerHead
    private let tokenText: TokenText
    private let alternatives: Int?
    private let report: UsageReport
    private var choices: [Choice]
    private(set) var usage = Usage()

    init(_ request: ChatRequest, chat: any ChatFormatting, head: AnswerHead, tokenizer: Tokenizer) {
        self.head = head
        tokenText = TokenText(tokenizer: tokenizer)
        alternatives = request.logprobs
        report = UsageReport(request.shared)
        choices = (0..<request.shared.choices).map { _ in
            Choice(reader: request.conversation.tools == nil ? nil : chat.makeToolCallReader())
        }
    }

    // MARK: Whole

    mutating func take(_ event: AnswerEvent) {
        usage.count(event.kind)
        switch event.kind {
        case .accepted, .prompt: break
        case .tokens(let choice, _, let tokens, let text):
            let index = Int(choice)
            if alternatives != nil { choices[index].tokens += tokens }
            take(choices[index].pieces(of: text), index)
        case .finished(let choice, let completion):
            let index = Int(choice)
            take(choices[index].lastPieces(of: completion.text), index)
            choices[index].reason = completion.reason
        }
    }

    private mutating func take(_ pieces: [ChatPiece], _ index: Int) {
        for piece in pieces {
            switch piece {
            case .content(let text): choices[index].content += text
            case .call(let name, let arguments): _ = addCall(name, arguments, index)
            }
        }
    }

    func whole() -> JSONText {
        let all: [JSONText] = choices.enumerated().map { index, choice in
            var message: JSONText = [
                "role": "assistant", "content": choice.content.isEmpty && !choice.calls.isEmpty ? .null : .string(choice.content),
                "refusal": .null,
            ]
            if !choice.calls.isEmpty { message = message.adding("tool_calls", .array(choice.calls.map { json($0) })) }
            return [
                "index": .integer(index), "message": message,
                "logprobs": alternatives.map { tokenText.chatLogprobs(choice.tokens, alternatives: $0) } ?? .null,
                "finish_reason": JSONText(choice.finishReason),
            ]
        }
        return head.object("chat.completion", choices: all).adding("usage", usage.json)
    }

    // MARK: Chunks

    mutating func chunks(for event: AnswerEvent) -> [JSONText] {
        usage.count(event.kind)
        switch event.kind {
        case .accepted, .prompt: return []
        case .tokens(let choice, _, let tokens, let text):
            let index = Int(choice)
            var chunks = beginning(of: index)
            var logprobs = alternatives.map { tokenText.chatLogprobs(tokens, alternatives: $0) }
            for delta in deltas(choices[index].pieces(of: text), index) {
                chunks.append(chunk(index, delta: delta, logprobs: logprobs ?? .null))
                logprobs = nil
            }
            // Tokens that complete no character still have their probabilities.
            if let logprobs { chunks.append(chunk(index, delta: [:], logprobs: logprobs)) }
            return chunks
        case .finished(let choice, let completion):
            let index = Int(choice)
            var chunks = beginning(of: index)
            chunks += deltas(choices[index].lastPieces(of: completion.text), index).map { chunk(index, delta: $0) }
            choices[index].reason = completion.reason
            chunks.append(chunk(index, delta: [:], reason: choices[index].finishReason))
            return chunks
        }
    }

    mutating func lastChunks() -> [JSONText] {
        guard report != .never else { return [] }
        return [head.object("chat.completion.chunk", choices: []).adding("usage", usage.json)]
    }

    /// The first chunk of a choice says whose words they are.
    private mutating func beginning(of index: Int) -> [JSONText] {
        guard !choices[index].hasBegun else { return [] }
        choices[index].hasBegun = true
        return [chunk(index, delta: ["role": "assistant", "content": ""])]
    }

    private mutating func deltas(_ pieces: [ChatPiece], _ index: Int) -> [JSONText] {
        pieces.map { piece in
            switch piece {
            case .content(let text): ["content": .string(text)]
            case .call(let name, let arguments):
                ["tool_calls": [json(addCall(name, arguments, index), index: choices[index].calls.count - 1)]]
            }
        }
    }

    private func chunk(_ index: Int, delta: JSONText, logprobs: JSONText = .null, reason: String? = nil) -> JSONText {
        let choice: JSONText = [
            "index": .integer(index), "delta": delta, "logprobs": logprobs, "finish_reason": JSONText(reason),
        ]
        return report.chunk(head.object("chat.completion.chunk", choices: [choice]), usage)
    }

    // MARK: Tool calls

    private mutating func addCall(_ name: String, _ arguments: String, _ index: Int) -> Call {
        // Unlike those of any other answer, and of any other call in this one.
        let id = "call_\(head.id.suffix(16))_\(index)_\(choices[index].calls.count)"
        let call = Call(id: id, name: name, arguments: arguments)
        choices[index].calls.append(call)
        return call
    }

    /// - Parameter index: among the calls of the choice; only chunks tell it.
    private func json(_ call: Call, index: Int? = nil) -> JSONText {
        let position: JSONText = index.map { ["index": .integer($0)] } ?? [:]
        return position.adding("id", .string(call.id)).adding("type", "function")
            .adding("function", ["name": .string(call.name), "arguments": .string(call.arguments)])
    }
}
