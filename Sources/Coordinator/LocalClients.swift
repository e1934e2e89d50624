import ClusterCore
import Gateway

/// Clients within this process: requests of the HTTP server. Each group of requests that belong together is one.
struct LocalClients {
    /// Numbers of peers count from 1 and never come this far.
    static let firstID: UInt64 = 1 << 63
    /// Of the groups of all of them: the lines of a job are clients each, and members of the same groups.
    static let groupOwner = ClientID(firstID)

    private var clients: [ClientID: LocalClient] = [:]

    func knows(_ client: ClientID) -> Bool { client.rawValue >= Self.firstID }

    mutating func join(_ id: ClientID, _ client: LocalClient) { clients[id] = client }

    mutating func leave(_ id: ClientID) { clients[id] = nil }

    /// - Returns: `false` if the client is gone, or has failed and with it whatever else it has open.
    /// - Parameter arrival: when a worker's message came in that led to this one.
    mutating func tell(_ key: ClientRequestKey, _ message: ServerMessage, arrival: ContinuousClock.Instant?) -> Bool {
        guard let outcome = clients[key.client]?.take(message, of: Int(key.key), arrival: arrival) else { return false }
        if outcome != .goesOn { clients[key.client] = nil }
        return outcome != .isGone
    }
}

/// Requests that were submitted together, and who waits for their answers.
struct LocalClient {
    private let answers: AnswerStream
    /// Choices that have not ended, by request.
    private var openChoices: [Int32]

    init(_ answers: AnswerStream, requests: Int) {
        self.answers = answers
        openChoices = Array(repeating: 1, count: requests)
    }

    enum Outcome {
        case goesOn
        /// All answers are complete.
        case hasAll
        /// Nobody takes the answers; what is open is to be cancelled.
        case isGone
    }

    mutating func take(_ message: ServerMessage, of request: Int, arrival: ContinuousClock.Instant?) -> Outcome {
        switch message {
        case .accepted(_, let acceptance):
            openChoices[request] = acceptance.choices
            return pass(.accepted(acceptance), of: request)
        case .prompt(_, let first, let tokens): return pass(.prompt(first: first, tokens), of: request)
        case .tokens(_, let choice, let firstIndex, let tokens, let text):
            return pass(.tokens(choice: choice, firstIndex: firstIndex, tokens, text: text), of: request, arrival: arrival)
        case .finished(_, let choice, let completion):
            openChoices[request] -= 1
            let outcome = pass(.finished(choice: choice, completion), of: request)
            guard outcome == .goesOn, openChoices.allSatisfy({ $0 == 0 }) else { return outcome }
            answers.end()
            return .hasAll
        case .failed(_, let failure):
            answers.end(failure: failure)
            // Of one request alone, nothing else is open.
            return openChoices.count == 1 ? .hasAll : .isGone
        case .hello, .pong, .status, .event, .unknownClient: return .goesOn
        }
    }

    private func pass(_ kind: AnswerEvent.Kind, of request: Int, arrival: ContinuousClock.Instant? = nil) -> Outcome {
        switch answers.put(AnswerEvent(request: request, kind: kind, arrival: arrival)) {
        case .taken: return .goesOn
        case .full:
            answers.end(failure: RequestFailure(code: .cancelled, message: "the client reads too slowly"))
            return .isGone
        case .ended: return .isGone
        }
    }
}
