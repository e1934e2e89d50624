import ClusterCore
import Generation

/// What happens to a request, in order.
public enum AnswerEvent: Sendable, Hashable {
    /// Always first; carries the seed that reproduces the answer.
    case accepted(Acceptance)
    /// Consecutive tokens of the prompt from position `first` on, with their log-probabilities. Only if they were asked for;
    /// then all of them come before any token of an answer.
    case prompt(first: Int32, tokens: [ScoredToken])
    /// Consecutive tokens of a choice from `firstIndex` on, and the text that they complete.
    case tokens(choice: Int32 = 0, firstIndex: Int32, tokens: [ScoredToken], text: String)
    /// A choice is complete. The last event is that of the last choice.
    case finished(choice: Int32 = 0, Completion)
}

/// A complete answer.
public struct Answer: Sendable, Hashable {
    public struct Choice: Sendable, Hashable {
        public var text: String
        /// With log-probabilities if they were asked for.
        public var tokens: [ScoredToken]
        public var completion: Completion

        public init(text: String, tokens: [ScoredToken], completion: Completion) {
            self.text = text
            self.tokens = tokens
            self.completion = completion
        }
    }

    public var acceptance: Acceptance
    /// The prompt's tokens with their log-probabilities; empty if they were not asked for.
    public var prompt: [ScoredToken]
    /// At least one.
    public private(set) var choices: [Choice]

    /// - Precondition: `choices` is not empty.
    public init(acceptance: Acceptance, prompt: [ScoredToken] = [], choices: [Choice]) {
        precondition(!choices.isEmpty, "an answer without choices")
        self.acceptance = acceptance
        self.prompt = prompt
        self.choices = choices
    }

    /// Of the first choice.
    public var text: String { choices[0].text }
    public var tokens: [TokenID] { choices[0].tokens.map(\.token) }
    public var completion: Completion { choices[0].completion }
}

/// Puts an answer together and checks that the stream was whole: one acceptance, dense token indexes, one end of each choice.
public struct AnswerAssembly: Sendable {
    private struct Choice: Sendable {
        var text = ""
        var tokens: [ScoredToken] = []
        var completion: Completion?
    }

    private var acceptance: Acceptance?
    private var prompt: [ScoredToken] = []
    private var choices: [Choice] = []

    public init() {}

    /// The answer, once every choice is complete.
    public var answer: Answer? {
        guard let acceptance, !choices.isEmpty else { return nil }
        let complete = choices.compactMap { choice in
            choice.completion.map { Answer.Choice(text: choice.text, tokens: choice.tokens, completion: $0) }
        }
        guard complete.count == choices.count else { return nil }
        return Answer(acceptance: acceptance, prompt: prompt, choices: complete)
    }

    public var isFinished: Bool { !choices.isEmpty && choices.allSatisfy { $0.completion != nil } }

    /// - Throws: ``ClientError/brokenStream(_:)`` if a message is missing, repeated or out of order.
    public mutating func take(_ event: AnswerEvent) throws(ClientError) {
        if isFinished { throw .brokenStream("a message after the end") }
        switch event {
        case .accepted(let acceptance):
            guard self.acceptance == nil else { throw .brokenStream("accepted twice") }
            guard acceptance.choices >= 1, acceptance.choices <= Submission.maxChoices else {
                throw .brokenStream("\(acceptance.choices) choices")
            }
            self.acceptance = acceptance
            choices = Array(repeating: Choice(), count: Int(acceptance.choices))
        case .prompt(let first, let tokens):
            guard acceptance != nil else { throw .brokenStream("a prompt before the acceptance") }
            guard Int(first) == prompt.count else { throw .brokenStream("prompt token \(first) where \(prompt.count) was due") }
            prompt += tokens
        case .tokens(let choice, let firstIndex, let tokens, let text):
            let index = try open(choice)
            guard Int(firstIndex) == choices[index].tokens.count else {
                throw .brokenStream("token \(firstIndex) where \(choices[index].tokens.count) was due")
            }
            choices[index].tokens += tokens
            choices[index].text += text
        case .finished(let choice, let completion):
            let index = try open(choice)
            guard Int(completion.tokenCount) == choices[index].tokens.count else {
                throw .brokenStream("ended after \(choices[index].tokens.count) of \(completion.tokenCount) tokens")
            }
            choices[index].text += completion.text
            choices[index].completion = completion
        }
    }

    /// Index of a choice that is not complete.
    private func open(_ choice: Int32) throws(ClientError) -> Int {
        guard acceptance != nil else { throw .brokenStream("an answer before the acceptance") }
        guard choices.indices.contains(Int(choice)) else { throw .brokenStream("choice \(choice) of \(choices.count)") }
        guard choices[Int(choice)].completion == nil else { throw .brokenStream("more of choice \(choice) after its end") }
        return Int(choice)
    }
}

/// Why the connection, not a request, is at fault. (A request that the cluster refused or failed throws
/// `RequestFailure`.)
public enum ClientError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Nobody answered at the endpoint in time.
    case unreachable(endpoint: String, waited: Duration)
    /// The connection ended, or the coordinator restarted, while requests were open.
    case connectionLost(String)
    /// The other side broke its own rules.
    case brokenStream(String)
    case closed

    public var description: String {
        switch self {
        case .unreachable(let endpoint, let waited): "no coordinator answered at \(endpoint) within \(waited)"
        case .connectionLost(let why): "connection to the coordinator lost: \(why)"
        case .brokenStream(let what): "broken answer stream: \(what)"
        case .closed: "the client is closed"
        }
    }
}
