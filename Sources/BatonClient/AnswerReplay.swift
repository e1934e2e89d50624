import ClusterCore
import Generation

/// An answer that is asked for again after a connection was lost, as one stream: what its reader has seen already is left
/// out, and what comes again must be the same.
///
/// That works because an answer depends on model, prompt, parameters and seed alone.
struct AnswerReplay: Sendable {
    private struct Choice: Sendable {
        var tokens: [TokenID] = []
        /// UTF-8 bytes of text.
        var textByteCount = 0
        var isFinished = false
        /// Of the present run.
        var tokensAgain = 0
        var textBytesAgain = 0
    }

    private(set) var acceptance: Acceptance?
    private var promptCount = 0
    private var promptAgain = 0
    private var choices: [Choice] = []

    /// The request is sent once more: everything comes again from the beginning.
    mutating func restart() {
        promptAgain = 0
        for index in choices.indices { (choices[index].tokensAgain, choices[index].textBytesAgain) = (0, 0) }
    }

    /// - Returns: what of an event is new; `nil` if nothing is.
    /// - Throws: ``ClientError/brokenStream(_:)`` if the answer is another one than before.
    mutating func take(_ event: AnswerEvent) throws(ClientError) -> AnswerEvent? {
        switch event {
        case .accepted(let again):
            guard let acceptance else {
                acceptance = again
                choices = Array(repeating: Choice(), count: Int(max(1, again.choices)))
                return event
            }
            guard acceptance.seed == again.seed, acceptance.promptCount == again.promptCount, acceptance.choices == again.choices
            else { throw .brokenStream("asked again, the request became another one") }
            return nil
        case .prompt(_, let tokens):
            let new = tokens.dropFirst(max(0, promptCount - promptAgain))
            promptAgain += tokens.count
            guard !new.isEmpty else { return nil }
            defer { promptCount += new.count }
            return .prompt(first: Int32(promptCount), tokens: Array(new))
        case .tokens(let choice, _, let tokens, let text): return try take(choice, tokens, text)
        case .finished(let choice, _):
            guard choices.indices.contains(Int(choice)) else { throw .brokenStream("choice \(choice) of \(choices.count)") }
            guard !choices[Int(choice)].isFinished else { return nil }
            choices[Int(choice)].isFinished = true
            return event
        }
    }

    private mutating func take(
        _ number: Int32, _ tokens: [ScoredToken], _ text: String
    ) throws(ClientError) -> AnswerEvent? {
        guard choices.indices.contains(Int(number)) else { throw .brokenStream("choice \(number) of \(choices.count)") }
        var choice = choices[Int(number)]
        let known = choice.tokens.dropFirst(choice.tokensAgain).prefix(tokens.count)
        guard known.elementsEqual(tokens.prefix(known.count).lazy.map(\.token)) else {
            throw .brokenStream("asked again, the answer became another one at token \(choice.tokensAgain)")
        }
        let new = tokens.dropFirst(known.count), first = Int32(choice.tokens.count)
        let bytes = Array(text.utf8)
        let newText = String(decoding: bytes.dropFirst(max(0, choice.textByteCount - choice.textBytesAgain)), as: UTF8.self)
        choice.tokensAgain += tokens.count
        choice.textBytesAgain += bytes.count
        choice.tokens += new.map(\.token)
        choice.textByteCount = max(choice.textByteCount, choice.textBytesAgain)
        choices[Int(number)] = choice
        if new.isEmpty, newText.isEmpty { return nil }
        return .tokens(choice: number, firstIndex: first, tokens: Array(new), text: newText)
    }
}
