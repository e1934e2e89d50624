import ClusterCore
import Generation
import Logging

/// Takes the events of an answer as they come and makes a reply of them.
struct AnswerDelivery: Sendable {
    let answers: AnswerStream
    /// What a tenant with limits has been granted; given back with the end of the answer.
    let permit: Tenant.Permit?
    let exchange: Exchange

    /// The whole answer in one object.
    func whole(_ format: some AnswerFormat) async throws(APIError) -> Reply {
        var format = format
        defer { permit?.giveBack() }
        do {
            try await exchange.watch.whileConnected(gone: answers.cancel) {
                while let events = try await next() {
                    for event in events { format.take(event) }
                }
            }
        } catch {
            throw APIError(ending: error, tokenCount: format.usage.completionTokens)
        }
        exchange.logger.debug("answered", metadata: ["tokens": "\(format.usage.completionTokens)"])
        return Reply(format.whole())
    }

    /// Chunks as server-sent events. Returns when there is something to send, so that whatever goes wrong before that
    /// still has a status of its own.
    func stream(_ format: some AnswerFormat) async throws(APIError) -> Reply {
        let first: [AnswerEvent]
        do {
            first = try await exchange.watch.whileConnected(gone: answers.cancel) { try await firstEvents() }
        } catch {
            permit?.giveBack()
            throw APIError(ending: error, tokenCount: 0)
        }
        return Reply(events: StreamedAnswer(answers, first: first, format, permit: permit, exchange: exchange))
    }

    /// - Returns: `nil` when all answers have ended.
    private func next() async throws -> [AnswerEvent]? {
        switch await answers.news() {
        case .events(let events):
            if let permit { for event in events { permit.charge(event.kind) } }
            return events
        case .ended(nil): return nil
        case .ended(let failure?): throw failure
        }
    }

    /// Events at least up to the first that shows anything of an answer.
    private func firstEvents() async throws -> [AnswerEvent] {
        var events: [AnswerEvent] = []
        while !events.contains(where: \.showsAnswer), let more = try await next() { events += more }
        return events
    }
}

extension AnswerEvent {
    fileprivate var showsAnswer: Bool {
        switch kind {
        case .accepted, .prompt: false
        case .tokens, .finished: true
        }
    }
}

extension APIError {
    /// Why answers ended before they were complete.
    init(ending error: any Error, tokenCount: Int) {
        if let failure = error as? RequestFailure {
            self.init(failure, tokenCount: tokenCount)
        } else if error is CancellationError {
            self.init(RequestFailure(code: .cancelled, message: "the client is gone"), tokenCount: tokenCount)
        } else {
            self.init(500, "\(error)", type: "server_error", code: "internal_error")
        }
    }
}
