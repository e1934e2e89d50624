import Generation

/// The text of an answer while its tokens arrive: whole characters only, nothing of a stop string, no end
/// token, and of the special tokens only those that are to be kept.
public struct AnswerText: Sendable {
    private var decoder: StreamingDecoder
    private var matcher: StopMatcher
    private let endTokens: [TokenID]
    /// Tokens whose text cannot complete a stop string, still to come.
    private var unmatched: Int32
    /// Whether a stop string was met; nothing more may be appended then.
    public private(set) var isStopped = false

    /// - Parameters:
    ///   - endTokens: ids that end the answer and are no part of its text.
    ///   - minTokens: a stop string counts only if it ends in the text of later tokens.
    ///   - includesStopString: the stop string belongs to the text.
    ///   - keptTokens: special tokens that belong to the text.
    public init(
        tokenizer: Tokenizer, stopStrings: [String], endTokens: [TokenID], minTokens: Int32 = 0,
        includesStopString: Bool = false, keptTokens: [TokenID] = []
    ) {
        decoder = StreamingDecoder(tokenizer: tokenizer, keptTokens: keptTokens)
        matcher = StopMatcher(stopStrings, includesStop: includesStopString)
        self.endTokens = endTokens
        unmatched = minTokens
    }

    /// What can be shown after one more token; may be empty.
    public mutating func append(_ token: TokenID) -> String {
        precondition(!isStopped, "token \(token) after the end of the text")
        let isUnmatched = unmatched > 0
        unmatched -= isUnmatched ? 1 : 0
        if endTokens.contains(token) { return "" }
        let text = decoder.append(token)
        return isUnmatched ? matcher.pass(text) : release(text)
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
