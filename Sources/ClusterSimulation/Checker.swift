import ClusterCore
import Generation

/// What must never happen, as it happened.
public struct Violation: Error, Sendable, CustomStringConvertible {
    public var time: Instant
    public var text: String
    public var description: String { "at \(time): \(text)" }
}

/// The clients' side: what each request was promised, and what it got.
struct Checker {
    enum State: Equatable {
        case unsent
        case open(RequestID)
        case finished
        case failed(RequestFailure.Code)
        case refused(RequestFailure.Code)
        /// The coordinator died: the stream broke visibly.
        case broken

        var isTerminal: Bool {
            switch self {
            case .unsent, .open: false
            case .finished, .failed, .refused, .broken: true
            }
        }
    }

    struct Choice {
        var expected: FakeModel.Answer
        var received: [ScoredToken] = []
        var isStopped = false
        var hasEnded = false
    }

    struct Tracked {
        var request: Scenario.Request
        var choices: [Choice]
        /// The prompt with its scores; empty if they are not wanted.
        var expectedPrompt: [ScoredToken]
        var receivedPrompt: [ScoredToken] = []
        var state = State.unsent
        var deadline: Instant?
        /// The client gave up, or went away.
        var isUnwanted = false
        var ended: Instant?

        init(_ request: Scenario.Request, _ model: FakeModel) {
            self.request = request
            choices = (0..<UInt32(request.choices)).map { choice in
                var sampling = request.sampling
                sampling.choice = choice
                return Choice(
                    expected: model.answer(
                        to: request.prompt, sampling, request.stop, logprobs: request.logprobs.map(Int.init)))
            }
            expectedPrompt = request.promptLogprobs.map { model.scores(of: request.prompt, top: Int($0)) } ?? []
        }

        /// The client has seen nothing of it.
        var hasNothing: Bool { receivedPrompt.isEmpty && choices.allSatisfy(\.received.isEmpty) }

        /// The same, asked for anew.
        var afresh: Tracked {
            var copy = self
            copy.choices = choices.map { Choice(expected: $0.expected) }
            (copy.receivedPrompt, copy.state, copy.deadline, copy.isUnwanted, copy.ended) = ([], .unsent, nil, false, nil)
            return copy
        }
    }

    private let model: FakeModel
    var tracked: [Tracked]
    /// By number, in the current life of the coordinator. A request for several choices has a number for each of them too.
    private var indexOfRequest: [(index: Int, choice: Int)] = []

    init(_ scenario: Scenario) {
        let model = scenario.model
        self.model = model
        tracked = scenario.requests.map { Tracked($0, model) }
    }

    var unfinished: [Int] { tracked.indices.filter { !tracked[$0].state.isTerminal } }
    func count(_ isCounted: (State) -> Bool) -> Int { tracked.reduce(0) { $0 + (isCounted($1.state) ? 1 : 0) } }

    func index(of request: RequestID) -> Int? { place(of: request)?.index }

    /// The choice that workers know as `request`.
    func choice(of request: RequestID) -> Choice? {
        place(of: request).map { tracked[$0.index].choices[$0.choice] }
    }

    private func place(of request: RequestID) -> (index: Int, choice: Int)? {
        let number = Int(request.rawValue)
        return number >= 1 && number <= indexOfRequest.count ? indexOfRequest[number - 1] : nil
    }

    /// Returns whose streams broke.
    mutating func coordinatorCrashed(at now: Instant) -> [Int] {
        var broken: [Int] = []
        for index in tracked.indices {
            guard case .open = tracked[index].state else { continue }
            tracked[index].state = .broken
            tracked[index].ended = now
            broken.append(index)
        }
        indexOfRequest = []
        return broken
    }

    /// A client whose stream broke asks again. Returns the new request's index.
    mutating func repeatRequest(_ index: Int) -> Int {
        tracked.append(tracked[index].afresh)
        return tracked.count - 1
    }

    // Each of these returns what is wrong, if anything.

    mutating func accept(_ index: Int, as request: RequestID) -> String? {
        guard tracked[index].state == .unsent else { return "#\(index) is accepted again as \(request)" }
        guard Int(request.rawValue) == indexOfRequest.count + 1 else { return "\(request) is out of sequence" }
        indexOfRequest.append((index, 0))
        let choices = tracked[index].choices.count
        if choices > 1 { indexOfRequest += (0..<choices).map { (index, $0) } }
        tracked[index].state = .open(request)
        return nil
    }

    mutating func refuse(_ index: Int, _ failure: RequestFailure, isQueueBounded: Bool, at now: Instant) -> String? {
        guard tracked[index].state == .unsent else { return "#\(index) is refused after it was accepted" }
        tracked[index].state = .refused(failure.code)
        tracked[index].ended = now
        switch failure.code {
        case .overloaded where isQueueBounded: return nil
        default: return "#\(index) is refused: \(failure)"
        }
    }

    mutating func emitPrompt(_ request: RequestID, _ first: Int32, _ tokens: [ScoredToken]) -> String? {
        guard let index = index(of: request) else { return "a prompt's scores for unknown \(request)" }
        let before = tracked[index]
        guard before.state == .open(request) else { return "scores for \(request) after its end: \(before.state)" }
        guard Int(first) == before.receivedPrompt.count else {
            return "\(request) got the score of token \(first) after \(before.receivedPrompt.count)"
        }
        guard before.choices.allSatisfy(\.received.isEmpty) else { return "\(request) got scores after tokens" }
        tracked[index].receivedPrompt += tokens
        guard tracked[index].receivedPrompt == Array(before.expectedPrompt.prefix(Int(first) + tokens.count)) else {
            return "\(request) got other scores than expected from token \(first) on: \(tokens)"
        }
        return nil
    }

    mutating func emit(_ request: RequestID, _ choice: Int32, _ firstIndex: Int32, _ tokens: [ScoredToken]) -> String? {
        guard let index = index(of: request) else { return "tokens for unknown \(request)" }
        let before = tracked[index]
        guard before.state == .open(request) else { return "tokens for \(request) after its end: \(before.state)" }
        guard before.choices.indices.contains(Int(choice)) else { return "\(request) has no choice \(choice)" }
        let own = before.choices[Int(choice)]
        guard !own.hasEnded else { return "tokens for choice \(choice) of \(request) after its end" }
        guard before.receivedPrompt == before.expectedPrompt else { return "\(request) got tokens before all scores" }
        guard Int(firstIndex) == own.received.count else {
            return "\(request) got token \(firstIndex) after \(own.received.count) tokens"
        }
        tracked[index].choices[Int(choice)].received += tokens
        let expected = own.expected.tokens.prefix(own.received.count + tokens.count)
        guard Array(expected) == own.received + tokens else {
            return "\(request) got \(tokens) as tokens \(firstIndex)..., expected \(expected.suffix(tokens.count))"
        }
        return nil
    }

    mutating func finish(
        _ request: RequestID, _ choice: Int32, _ reason: FinishReason, _ count: Int32, at now: Instant
    ) -> String? {
        guard let index = index(of: request) else { return "the end of unknown \(request)" }
        let before = tracked[index]
        guard before.state == .open(request) else { return "a second end of \(request): \(before.state)" }
        guard before.choices.indices.contains(Int(choice)) else { return "\(request) has no choice \(choice)" }
        let own = before.choices[Int(choice)]
        guard !own.hasEnded else { return "a second end of choice \(choice) of \(request)" }
        tracked[index].choices[Int(choice)].hasEnded = true
        if tracked[index].choices.allSatisfy(\.hasEnded) {
            tracked[index].state = .finished
            tracked[index].ended = now
        }
        guard Int(count) == own.received.count else { return "\(request) ends with \(count) tokens, not all seen" }
        guard before.receivedPrompt == before.expectedPrompt else { return "\(request) ends without all scores" }
        if own.isStopped { return reason == .stop ? nil : "\(request) met a stop string and ends by \(reason)" }
        guard own.received == own.expected.tokens, reason == own.expected.reason else {
            return "\(request) ends by \(reason) after \(count) of \(own.expected.tokens.count) tokens"
        }
        return nil
    }

    mutating func fail(_ request: RequestID, _ failure: RequestFailure, at now: Instant) -> String? {
        guard let index = index(of: request) else { return "the failure of unknown \(request)" }
        let before = tracked[index]
        guard before.state == .open(request) else { return "a second end of \(request): \(before.state)" }
        tracked[index].state = .failed(failure.code)
        tracked[index].ended = now
        switch failure.code {
        case .cancelled where before.isUnwanted: return nil
        case .timedOut where before.deadline.map({ $0 <= now }) ?? false: return nil
        case .noWorker where before.deadline.map({ $0 <= now }) ?? false && before.hasNothing: return nil
        case .expired where before.deadline.map({ $0 <= now }) ?? false && before.hasNothing: return nil
        default: return "\(request) failed without a reason: \(failure)"
        }
    }
}
