import ClusterCore
import Generation
import Tokenizer

/// Answers in the shape of `/v1/completions`.
struct CompletionFormat: AnswerFormat {
    /// One choice of one prompt. Choices are numbered prompt by prompt.
    private struct Choice {
        var text = ""
        var tokens: [ScoredToken] = []
        var reason: FinishReason?
        /// Characters of the text that log-probabilities have been told for.
        var offset = 0
        var hasBegun = false
        /// Of chunks that show a text alone, when there has been one.
        var textChunk: TextChunk?
    }

    private let head: AnswerHead
    private let tokenText: TokenText
    private let choicesPerPrompt: Int
    private let alternatives: Int?
    private let report: UsageReport
    private let frame: ChunkFrame
    /// The text that each choice begins with: its prompt's, if that is echoed.
    private let echoes: [String]?
    private var prompts: [[ScoredToken]]
    private var choices: [Choice]
    private(set) var usage = Usage()

    /// - Parameter prompts: as tokens.
    init(_ request: CompletionRequest, prompts: [[TokenID]], head: AnswerHead, tokenizer: Tokenizer) {
        self.head = head
        tokenText = TokenText(tokenizer: tokenizer)
        choicesPerPrompt = request.shared.choices
        alternatives = request.logprobs
        report = UsageReport(request.shared)
        frame = ChunkFrame(head, kind: "text_completion", report)
        echoes =
            request.echoes
            ? zip(request.prompts, prompts).map { source, tokens in
                if case .text(let text) = source { text } else { tokenizer.decode(tokens) }
            } : nil
        self.prompts = Array(repeating: [], count: prompts.count)
        choices = Array(repeating: Choice(), count: prompts.count * choicesPerPrompt)
    }

    // MARK: Whole

    mutating func take(_ event: AnswerEvent) {
        usage.count(event.kind)
        switch event.kind {
        case .accepted: break
        case .prompt(_, let tokens): prompts[event.request] += tokens
        case .tokens(let choice, _, let tokens, let text):
            let index = index(event, choice)
            if alternatives != nil { choices[index].tokens += tokens }
            choices[index].text += text
        case .finished(let choice, let completion):
            let index = index(event, choice)
            choices[index].text += completion.text
            choices[index].reason = completion.reason
        }
    }

    func whole() -> JSONText {
        let all = choices.indices.map { index in
            var choice = choices[index]
            let prompt = index / choicesPerPrompt
            let tokens = (echoes == nil ? [] : prompts[prompt]) + choice.tokens
            return json(index, text: (echoes?[prompt] ?? "") + choice.text, tokens, &choice.offset, reason: choice.reason)
        }
        return head.object("text_completion", choices: all).adding("usage", usage.json)
    }

    // MARK: Chunks

    mutating func stream(_ event: AnswerEvent, to bytes: inout [UInt8]) {
        usage.count(event.kind)
        switch event.kind {
        case .accepted: break
        case .prompt(_, let tokens): prompts[event.request] += tokens
        case .tokens(let choice, _, let tokens, let text):
            let index = index(event, choice)
            let (echo, promptTokens) = beginning(of: index, event.request)
            let shown = alternatives == nil ? [] : promptTokens + tokens
            // Tokens that complete no character, or may be the beginning of a stop string, have nothing to show yet.
            if echo.isEmpty, text.isEmpty, shown.isEmpty, report != .always { return }
            write(index, text: echo.isEmpty ? text : echo + text, shown, reason: nil, to: &bytes)
        case .finished(let choice, let completion):
            let index = index(event, choice)
            let (echo, promptTokens) = beginning(of: index, event.request)
            let shown = alternatives == nil ? [] : promptTokens
            write(index, text: echo + completion.text, shown, reason: completion.reason, to: &bytes)
        }
    }

    func endStream(to bytes: inout [UInt8]) { frame.writeLast(usage, to: &bytes) }

    /// What stands before the first token of a choice, the first time that it is asked for.
    private mutating func beginning(of index: Int, _ prompt: Int) -> (text: String, tokens: [ScoredToken]) {
        guard !choices[index].hasBegun else { return ("", []) }
        choices[index].hasBegun = true
        return echoes.map { ($0[prompt], prompts[prompt]) } ?? ("", [])
    }

    private mutating func write(_ index: Int, text: String, _ tokens: [ScoredToken], reason: FinishReason?, to bytes: inout [UInt8]) {
        if tokens.isEmpty, reason == nil {
            if choices[index].textChunk == nil { choices[index].textChunk = frame.textChunk { json(index, text: $0) } }
            if let chunk = choices[index].textChunk { return chunk.write(text, to: &bytes) }
        }
        var offset = choices[index].offset
        frame.write(json(index, text: text, tokens, &offset, reason: reason), usage, to: &bytes)
        choices[index].offset = offset
    }

    // MARK: Parts

    private func index(_ event: AnswerEvent, _ choice: Int32) -> Int { event.request * choicesPerPrompt + Int(choice) }

    private func json(
        _ index: Int, text: String, _ tokens: [ScoredToken], _ offset: inout Int, reason: FinishReason?
    ) -> JSONText {
        var logprobs = JSONText.null
        if let alternatives, !tokens.isEmpty || reason != nil {
            logprobs = tokenText.completionLogprobs(tokens, alternatives: alternatives, offset: &offset)
        }
        return json(index, text: .string(text), logprobs: logprobs, reason: reason)
    }

    private func json(_ index: Int, text: JSONText, logprobs: JSONText = .null, reason: FinishReason? = nil) -> JSONText {
        ["index": .integer(index), "text": text, "logprobs": logprobs, "finish_reason": JSONText(reason?.rawValue)]
    }
}
