import ChatTemplate
import ClusterCore
import Generation
import Tokenizer

/// Answers in the shape of `/v1/chat/completions`.
struct ChatFormat: AnswerFormat {
    private struct Call: Sendable {
        var id: String
        var name: String
        var arguments = ""
    }

    private struct Choice: Sendable {
        var content = ""
        var calls: [Call] = []
        var tokens: [ScoredToken] = []
        var reason: FinishReason?
        /// Looks for calls in the text; `nil` where there can be none.
        var parser: ToolCallParser?
        var hasBegun = false
        /// Of chunks that show a piece of content alone, when there has been one.
        var textChunk: TextChunk?

        mutating func events(of text: String) -> [ToolCallEvent] {
            parser?.append(text) ?? (text.isEmpty ? [] : [.content(text)])
        }

        mutating func lastEvents(of text: String) -> [ToolCallEvent] { events(of: text) + (parser?.finish() ?? []) }

        /// Why the answer ended, as the API has it.
        var finishReason: String? { reason.map { $0 == .stop && !calls.isEmpty ? "tool_calls" : $0.rawValue } }
    }

    private let head: AnswerHead
    private let tokenText: TokenText
    private let alternatives: Int?
    private let frame: ChunkFrame
    /// What closes a call that was required and is complete.
    private let suffix: String
    private var choices: [Choice]
    private(set) var usage = Usage()

    /// - Parameter requiredCall: what the answer had to be, if it had to be a call.
    init(
        _ request: ChatRequest, chat: ChatFormatting, requiredCall: ChatFormatting.RequiredCall?, head: AnswerHead, tokenizer: Tokenizer
    ) {
        self.head = head
        tokenText = TokenText(tokenizer: tokenizer)
        alternatives = request.logprobs
        frame = ChunkFrame(head, kind: "chat.completion.chunk", UsageReport(request.shared))
        suffix = requiredCall?.suffix ?? ""
        let names = Set(request.tools.definitions.map(\.name))
        let seed = head.seed
        choices = (0..<request.shared.choices).map { index in
            guard request.tools.shown != nil, let format = chat.toolCalls else { return Choice() }
            var parser = ToolCallParser(format, knownNames: names, seed: seed &+ UInt64(index))
            // The prompt ends with the beginning of the call; nothing is certain behind a mere marker.
            if let requiredCall { _ = parser.append(requiredCall.prefix) }
            return Choice(parser: parser)
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
            take(choices[index].events(of: text), index)
        case .finished(let choice, let completion):
            let index = Int(choice)
            take(choices[index].lastEvents(of: ending(completion)), index)
            choices[index].reason = completion.reason
        }
    }

    private mutating func take(_ events: [ToolCallEvent], _ index: Int) {
        for event in events { _ = delta(event, index) }
    }

    /// The end of an answer's text, with what closes it if it was cut to a form and came to its end.
    private func ending(_ completion: Completion) -> String {
        completion.text + (completion.reason == .stop ? suffix : "")
    }

    func whole() -> JSONText {
        let all: [JSONText] = choices.enumerated().map { index, choice in
            var message: JSONText = [
                "role": "assistant", "content": choice.content.isEmpty && !choice.calls.isEmpty ? .null : .string(choice.content),
                "refusal": .null,
            ]
            if !choice.calls.isEmpty {
                let calls: [JSONText] = choice.calls.map { ["id": .string($0.id), "type": "function", "function": json($0)] }
                message = message.adding("tool_calls", .array(calls))
            }
            return [
                "index": .integer(index), "message": message,
                "logprobs": alternatives.map { tokenText.chatLogprobs(choice.tokens, alternatives: $0) } ?? .null,
                "finish_reason": JSONText(choice.finishReason),
            ]
        }
        return head.object("chat.completion", choices: all).adding("usage", usage.json)
    }

    // MARK: Chunks

    mutating func stream(_ event: AnswerEvent, to bytes: inout [UInt8]) {
        usage.count(event.kind)
        switch event.kind {
        case .accepted, .prompt: break
        case .tokens(let choice, _, let tokens, let text):
            let index = Int(choice)
            begin(index, to: &bytes)
            var logprobs = alternatives.map { tokenText.chatLogprobs(tokens, alternatives: $0) }
            for event in choices[index].events(of: text) {
                if logprobs == nil, case .content(let text) = event, write(index, content: text, to: &bytes) { continue }
                guard let delta = delta(event, index) else { continue }
                write(index, delta: delta, logprobs: logprobs ?? .null, to: &bytes)
                logprobs = nil
            }
            // Tokens that complete no character still have their probabilities.
            if let logprobs { write(index, delta: [:], logprobs: logprobs, to: &bytes) }
        case .finished(let choice, let completion):
            let index = Int(choice)
            begin(index, to: &bytes)
            for event in choices[index].lastEvents(of: ending(completion)) {
                if let delta = delta(event, index) { write(index, delta: delta, to: &bytes) }
            }
            choices[index].reason = completion.reason
            write(index, delta: [:], reason: choices[index].finishReason, to: &bytes)
        }
    }

    func endStream(to bytes: inout [UInt8]) { frame.writeLast(usage, to: &bytes) }

    /// The first chunk of a choice says whose words they are.
    private mutating func begin(_ index: Int, to bytes: inout [UInt8]) {
        guard !choices[index].hasBegun else { return }
        choices[index].hasBegun = true
        write(index, delta: ["role": "assistant", "content": ""], to: &bytes)
    }

    /// Notes an event.
    /// - Returns: what a chunk tells of it.
    private mutating func delta(_ event: ToolCallEvent, _ index: Int) -> JSONText? {
        switch event {
        case .content(let text):
            choices[index].content += text
            return content(.string(text))
        case .callBegan(let number, let id, let name):
            let call = Call(id: id, name: name)
            choices[index].calls.append(call)
            return ["tool_calls": [["index": .integer(number), "id": .string(id), "type": "function", "function": json(call)]]]
        case .arguments(let number, let text):
            guard choices[index].calls.indices.contains(number) else { return nil }
            choices[index].calls[number].arguments += text
            return ["tool_calls": [["index": .integer(number), "function": ["arguments": .string(text)]]]]
        case .callEnded: return nil
        }
    }

    private func write(
        _ index: Int, delta: JSONText, logprobs: JSONText = .null, reason: String? = nil, to bytes: inout [UInt8]
    ) {
        frame.write(choice(index, delta: delta, logprobs: logprobs, reason: reason), usage, to: &bytes)
    }

    /// - Returns: false where that is no chunk like others.
    private mutating func write(_ index: Int, content text: String, to bytes: inout [UInt8]) -> Bool {
        if choices[index].textChunk == nil {
            choices[index].textChunk = frame.textChunk { choice(index, delta: content($0)) }
        }
        guard let chunk = choices[index].textChunk else { return false }
        chunk.write(text, to: &bytes)
        return true
    }

    private func content(_ text: JSONText) -> JSONText { ["content": text] }

    private func choice(_ index: Int, delta: JSONText, logprobs: JSONText = .null, reason: String? = nil) -> JSONText {
        ["index": .integer(index), "delta": delta, "logprobs": logprobs, "finish_reason": JSONText(reason)]
    }

    private func json(_ call: Call) -> JSONText { ["name": .string(call.name), "arguments": .string(call.arguments)] }
}
