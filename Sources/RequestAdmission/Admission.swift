import ClusterCore
import Generation
import Grammar
import Inference
import Tokenizer

/// Turns what a client states into what the scheduler takes, or says what is wrong with it.
public struct Admission: Sendable {
    public let tokenizer: Tokenizer
    /// Ids that end an answer unless the client ignores them.
    public let endTokens: [TokenID]
    /// Tokens of the model's vocabulary, which may have room beyond the tokenizer's.
    let vocabularySize: Int
    /// Tokens of prompt and answer together.
    public let maxModelLength: Int

    public struct Admitted: Sendable {
        public var prompt: [TokenID]
        public var sampling: SamplingParameters
        public var stop: StopConditions
        public var choices: Int32
        public var logprobs: Int32?
        public var promptLogprobs: Int32?
        public var constraint: Constraint?
    }

    /// - Parameter maxModelLength: at most what the model allows.
    public init(tokenizer: Tokenizer, configuration: ModelConfiguration, maxModelLength: Int) {
        self.tokenizer = tokenizer
        var endTokens = configuration.endTokens
        if let end = tokenizer.eosToken, !endTokens.contains(end) { endTokens.append(end) }
        self.endTokens = endTokens
        vocabularySize = configuration.vocabularySize
        self.maxModelLength = min(maxModelLength, configuration.maxPositions)
    }

    /// - Throws: a ``RequestFailure`` with ``RequestFailure/Code/invalid`` that names the parameter.
    public func admit(_ submission: Submission, drawnSeed: UInt64) throws(RequestFailure) -> Admitted {
        var sampling = submission.sampling
        sampling.seed = submission.seed ?? drawnSeed
        do {
            try sampling.validate()
        } catch {
            throw Self.invalid("\(error)")
        }
        try checkFeatures(of: submission)
        let prompt = try tokens(of: submission.prompt)
        guard !prompt.isEmpty else { throw Self.invalid("prompt: has no tokens") }
        let room = maxModelLength - prompt.count
        let least = submission.promptLogprobs == nil ? 1 : 0
        guard room >= (submission.maxTokens == 0 ? least : 1) else {
            throw Self.invalid("prompt: has \(prompt.count) tokens, which leaves no room in the model's \(maxModelLength)")
        }
        let maxTokens = submission.maxTokens.map(Int.init) ?? room
        guard maxTokens >= least else {
            throw Self.invalid("max_tokens: must be at least 1 if no prompt is to be scored, but is \(maxTokens)")
        }
        guard maxTokens <= room else {
            throw Self.invalid(
                "max_tokens: \(maxTokens) and a prompt of \(prompt.count) tokens exceed the model's \(maxModelLength)")
        }
        var ends = submission.ignoreEndTokens ? [] : endTokens
        ends += submission.stopTokens.filter { !ends.contains($0) }
        return Admitted(
            prompt: prompt, sampling: sampling,
            stop: StopConditions(maxTokens: Int32(maxTokens), minTokens: submission.minTokens, endTokens: ends),
            choices: maxTokens == 0 ? 1 : submission.choices, logprobs: submission.logprobs,
            promptLogprobs: submission.promptLogprobs, constraint: submission.constraint)
    }

    /// The text of an answer to a submission that was admitted, before its first token.
    public func answerText(of submission: Submission) -> AnswerText {
        AnswerText(
            tokenizer: tokenizer, stopStrings: submission.stopStrings, endTokens: endTokens + submission.stopTokens,
            minTokens: submission.minTokens, includesStopString: submission.includesStopString, keptTokens: submission.keptTokens)
    }

    private func checkFeatures(of submission: Submission) throws(RequestFailure) {
        func check(_ parameter: String, _ value: Int32?, in range: ClosedRange<Int32>) throws(RequestFailure) {
            guard let value, !range.contains(value) else { return }
            throw Self.invalid("\(parameter): must be \(range.lowerBound) to \(range.upperBound), but is \(value)")
        }
        let top = 0...Int32(TokenLogprobs.maxTop)
        try check("n", submission.choices, in: 1...Submission.maxChoices)
        try check("logprobs", submission.logprobs, in: top)
        try check("prompt_logprobs", submission.promptLogprobs, in: top)
        try check("min_tokens", submission.minTokens, in: 0...max(0, submission.maxTokens ?? .max))
        try check("stop_token_ids", Int32(clamping: submission.stopTokens.count), in: 0...Int32(Submission.maxStopTokens))
        for token in submission.stopTokens { try checkVocabulary(token, "stop_token_ids") }
        try check("kept_tokens", Int32(clamping: submission.keptTokens.count), in: 0...Int32(Submission.maxKeptTokens))
        for token in submission.keptTokens { try checkVocabulary(token, "kept_tokens") }
        for entry in submission.sampling.logitBias { try checkVocabulary(entry.token, "logit_bias") }
        if let size = submission.constraint?.source.utf8.count, size > Constraint.maxByteCount {
            throw Self.invalid("constraint: \(size) bytes, at most \(Constraint.maxByteCount) are allowed")
        }
        if submission.cacheSalt.utf8.count > Submission.maxCacheSaltBytes {
            throw Self.invalid(
                "cache_salt: \(submission.cacheSalt.utf8.count) bytes, at most \(Submission.maxCacheSaltBytes) are allowed")
        }
        if let constraint = submission.constraint { try checkConstraint(constraint, of: submission) }
    }

    /// What is wrong with a constraint is said before anybody works on the request.
    private func checkConstraint(_ constraint: Constraint, of submission: Submission) throws(RequestFailure) {
        // An answer that is complete can only end: it must be allowed to.
        if submission.minTokens > 0 { throw Self.invalid("min_tokens: cannot be kept together with a constraint") }
        if submission.ignoreEndTokens, submission.stopTokens.isEmpty {
            throw Self.invalid("ignore_eos: an answer with a constraint needs a token to end with")
        }
        do {
            try GrammarCompiler.check(OutputConstraint(constraint))
        } catch {
            throw Self.invalid("constraint: \(error)")
        }
    }

    private func checkVocabulary(_ token: TokenID, _ parameter: String) throws(RequestFailure) {
        guard token < 0 || token >= vocabularySize else { return }
        throw Self.invalid("\(parameter): token \(token) is outside the vocabulary of \(vocabularySize)")
    }

    private func tokens(of prompt: Prompt) throws(RequestFailure) -> [TokenID] {
        switch prompt {
        case .text(let text):
            do {
                return try tokenizer.encode(text)
            } catch {
                throw Self.invalid("prompt: \(error)")
            }
        case .tokens(let tokens):
            if let stranger = tokens.first(where: { $0 < 0 || $0 >= vocabularySize }) {
                throw Self.invalid("prompt: token \(stranger) is outside the vocabulary of \(vocabularySize)")
            }
            return tokens
        }
    }

    private static func invalid(_ message: String) -> RequestFailure {
        RequestFailure(code: .invalid, message: message)
    }
}
