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
                for try await event in answers.events {
                    permit?.charge(event.kind)
                    format.take(event)
                }
            }
        } catch {
            throw Self.error(error, tokenCount: format.usage.completionTokens)
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
            throw Self.error(error, tokenCount: 0)
        }
        return Reply { [self] sink in
            try await exchange.watch.whileConnected(gone: answers.cancel) {
                // Whatever ends this, nobody waits for the rest.
                defer {
                    answers.cancel()
                    permit?.giveBack()
                }
                try await send(first, format, to: sink)
            }
        }
    }

    /// Events up to the first that shows anything of an answer.
    private func firstEvents() async throws -> [AnswerEvent] {
        var events: [AnswerEvent] = []
        for try await event in answers.events {
            permit?.charge(event.kind)
            events.append(event)
            switch event.kind {
            case .accepted, .prompt: continue
            case .tokens, .finished: return events
            }
        }
        return events
    }

    private func send(_ first: [AnswerEvent], _ format: some AnswerFormat, to sink: Reply.Sink) async throws {
        var format = format
        let failure: APIError
        for event in first { try await Self.send(format.chunks(for: event), of: event, to: sink) }
        do {
            for try await event in answers.events {
                permit?.charge(event.kind)
                let chunks = format.chunks(for: event)
                do { try await Self.send(chunks, of: event, to: sink) } catch { throw ClientGone(cause: error) }
            }
            let last = ServerSentEvents.data(format.lastChunks()) + ServerSentEvents.done
            do { try await sink(last, nil) } catch { throw ClientGone(cause: error) }
            return
        } catch let gone as ClientGone {
            throw gone.cause
        } catch {
            failure = Self.error(error, tokenCount: format.usage.completionTokens)
        }
        exchange.logger.info("failed while streaming", metadata: ["error": "\(failure.message)"])
        try await sink(ServerSentEvents.failure(failure), nil)
    }

    private static func send(_ chunks: [JSONText], of event: AnswerEvent, to sink: Reply.Sink) async throws {
        if !chunks.isEmpty { try await sink(ServerSentEvents.data(chunks), event.arrival) }
    }

    /// The client does not take what it is sent, which is no failure of the request.
    private struct ClientGone: Error {
        var cause: any Error
    }

    private static func error(_ error: any Error, tokenCount: Int) -> APIError {
        if let failure = error as? RequestFailure { return APIError(failure, tokenCount: tokenCount) }
        if error is CancellationError {
            return APIError(RequestFailure(code: .cancelled, message: "the client is gone"), tokenCount: tokenCount)
        }
        return APIError(500, "\(error)", type: "server_error", code: "internal_error")
    }
}
