import Generation

/// The text of an answer while its tokens arrive: whole characters only, nothing of a stop string, no end token.
public struct AnswerText: Sendable {
    private var decoder: StreamingDecoder
    private var matcher: StopMatcher
    private let endTokens: [TokenID]
    /// Whether a stop string was met; nothing more may be appended then.
    public private(set) var isStopped = false

    /// - Parameter endTokens: ids that end the answer and are no part of its text.
    public init(tokenizer: Tokenizer, stopStrings: [String], endTokens: [TokenID]) {
        decoder = StreamingDecoder(tokenizer: tokenizer)
        matcher = StopMatcher(stopStrings)
        self.endTokens = endTokens
    }

    /// What can be shown after one more token; may be empty.
    public mutating func append(_ token: TokenID) -> String {
        precondition(!isStopped, "token \(token) after the end of the text")
        if endTokens.contains(token) { return "" }
        return release(decoder.append(token))
    }

    /// The rest, when the answer is complete: what was held back in case a stop string would follow.
    public mutating func finish() -> String {
        if isStopped { return "" }
        // The decoder's rest (bytes of a broken character) may itself complete a stop string.
        let rest = release(decoder.finish())
        return isStopped ? rest : rest + matcher.finish()
    }

    private mutating func release(_ text: String) -> String {
        switch matcher.append(text) {
        case .text(let released): return released
        case .stopped(let before):
            isStopped = true
            return before
        }
    }
}
