import Generation
import Tokenizer

/// The text of single tokens, for log-probabilities and `/detokenize`.
struct TokenText: Sendable {
    let tokenizer: Tokenizer

    /// A token's text as it is in the middle of an answer; incomplete characters are U+FFFD.
    func text(of token: TokenID) -> String {
        // Some decoders take a space from the front of a text, so a token is read behind itself.
        let once = tokenizer.decode([token], skipSpecialTokens: false)
        let twice = tokenizer.decode([token, token], skipSpecialTokens: false)
        guard twice.utf8.count >= once.utf8.count, twice.utf8.starts(with: once.utf8) else { return once }
        return String(decoding: twice.utf8.dropFirst(once.utf8.count), as: UTF8.self)
    }

    /// The bytes of a token, also where they are only a part of a character.
    private func bytes(of token: TokenID, _ text: String) -> [UInt8] {
        let isWhole = !text.unicodeScalars.contains("\u{FFFD}")
        return isWhole ? Array(text.utf8) : tokenizer.innerBytes(of: token) ?? Array(text.utf8)
    }

    /// JSON has no infinity; a token that cannot come has this for its log-probability, as vLLM has it.
    private static let impossible = -9999.0

    static func json(_ logprob: Float) -> JSONText {
        .number(logprob.isFinite ? max(Double(logprob), impossible) : impossible)
    }
}

// MARK: - Log-probabilities in the shape of each route

extension TokenText {
    /// As completions have them: one array each for tokens, their log-probabilities, the alternatives, and where in
    /// the text each token begins.
    ///
    /// - Parameters:
    ///   - offset: characters of the choice's text before the first of `tokens`; moved behind the last.
    ///   - alternatives: how many to show; 0 leaves them out.
    func completionLogprobs(_ tokens: [ScoredToken], alternatives: Int, offset: inout Int) -> JSONText {
        var texts: [JSONText] = []
        var logprobs: [JSONText] = []
        var tops: [JSONText] = []
        var offsets: [JSONText] = []
        for token in tokens {
            let text = text(of: token.token)
            texts.append(.string(text))
            logprobs.append(token.logprobs.map { Self.json($0.logprob) } ?? .null)
            tops.append(token.logprobs.map { completionTop($0, of: token.token, text, alternatives) } ?? .null)
            offsets.append(.integer(offset))
            offset += text.unicodeScalars.count
        }
        let entry: JSONText = ["text_offset": .array(offsets), "token_logprobs": .array(logprobs), "tokens": .array(texts)]
        // OpenAI's schema knows no null here.
        return alternatives > 0 ? entry.adding("top_logprobs", .array(tops)) : entry
    }

    /// The most probable tokens by text, and the token itself. Of two with the same text the more probable one counts.
    private func completionTop(_ scores: TokenLogprobs, of token: TokenID, _ text: String, _ alternatives: Int) -> JSONText {
        var members: [JSONText.Member] = []
        for top in scores.top.prefix(alternatives) {
            let name = self.text(of: top.token)
            if !members.contains(where: { $0.name == name }) { members.append(.init(name: name, value: Self.json(top.logprob))) }
        }
        if !members.contains(where: { $0.name == text }) { members.append(.init(name: text, value: Self.json(scores.logprob))) }
        return .object(members)
    }

    /// As chat completions have them: one object for each token.
    func chatLogprobs(_ tokens: [ScoredToken], alternatives: Int) -> JSONText {
        let content = tokens.map { token in
            let scores = token.logprobs ?? TokenLogprobs(logprob: -.infinity)
            let top = scores.top.prefix(alternatives).map { chatEntry($0.token, $0.logprob) }
            return chatEntry(token.token, scores.logprob).adding("top_logprobs", .array(Array(top)))
        }
        return ["content": .array(content), "refusal": .null]
    }

    private func chatEntry(_ token: TokenID, _ logprob: Float) -> JSONText {
        let text = text(of: token)
        return [
            "token": .string(text), "logprob": Self.json(logprob),
            "bytes": .array(bytes(of: token, text).map { .integer(Int($0)) }),
        ]
    }
}
