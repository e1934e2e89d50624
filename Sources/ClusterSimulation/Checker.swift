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

    struct Tracked {
        var request: Scenario.Request
        var expected: FakeModel.Answer
        var state = State.unsent
        var received: [TokenID] = []
        var deadline: Instant?
        /// The client gave up, or went away.
        var isUnwanted = false
        var isStopped = false
        var ended: Instant?
    }

    var tracked: [Tracked]
    /// By number, in the current life of the coordinator.
    private var indexOfRequest: [Int] = []

    init(_ scenario: Scenario) {
        tracked = scenario.requests.map {
            Tracked(request: $0, expected: scenario.model.answer(to: $0.prompt, $0.sampling, $0.stop))
        }
    }

    var unfinished: [Int] { tracked.indices.filter { !tracked[$0].state.isTerminal } }
    func count(_ isCounted: (State) -> Bool) -> Int { tracked.reduce(0) { $0 + (isCounted($1.state) ? 1 : 0) } }

    func index(of request: RequestID) -> Int? {
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
        tracked.append(Tracked(request: tracked[index].request, expected: tracked[index].expected))
        return tracked.count - 1
    }

    // Each of these returns what is wrong, if anything.

    mutating func accept(_ index: Int, as request: RequestID) -> String? {
        guard tracked[index].state == .unsent else { return "#\(index) is accepted again as \(request)" }
        guard Int(request.rawValue) == indexOfRequest.count + 1 else { return "\(request) is out of sequence" }
        indexOfRequest.append(index)
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

    mutating func emit(_ request: RequestID, _ firstIndex: Int32, _ tokens: [TokenID]) -> String? {
        guard let index = index(of: request) else { return "tokens for unknown \(request)" }
        let before = tracked[index]
        guard before.state == .open(request) else { return "tokens for \(request) after its end: \(before.state)" }
        guard Int(firstIndex) == before.received.count else {
            return "\(request) got token \(firstIndex) after \(before.received.count) tokens"
        }
        tracked[index].received += tokens
        let expected = before.expected.tokens.prefix(before.received.count + tokens.count)
        guard Array(expected) == tracked[index].received else {
            return "\(request) got \(tokens) as tokens \(firstIndex)..., expected \(expected.suffix(tokens.count))"
        }
        return nil
    }

    mutating func finish(_ request: RequestID, _ reason: FinishReason, _ count: Int32, at now: Instant) -> String? {
        guard let index = index(of: request) else { return "the end of unknown \(request)" }
        let before = tracked[index]
        guard before.state == .open(request) else { return "a second end of \(request): \(before.state)" }
        tracked[index].state = .finished
        tracked[index].ended = now
        guard Int(count) == before.received.count else { return "\(request) ends with \(count) tokens, not all seen" }
        if before.isStopped { return reason == .stop ? nil : "\(request) met a stop string and ends by \(reason)" }
        guard before.received == before.expected.tokens, reason == before.expected.reason else {
            return "\(request) ends by \(reason) after \(count) of \(before.expected.tokens.count) tokens"
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
        case .noWorker where before.deadline.map({ $0 <= now }) ?? false && before.received.isEmpty: return nil
        default: return "\(request) failed without a reason: \(failure)"
        }
    }
}
