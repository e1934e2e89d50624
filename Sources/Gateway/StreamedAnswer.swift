import ClusterCore
import Logging
import Synchronization

/// An answer as server-sent events, a piece for each event of it that shows anything.
final class StreamedAnswer: ReplyStream {
    private struct State {
        var format: any AnswerFormat
        /// Taken and not told yet, from `position` on.
        var events: [AnswerEvent]
        var position = 0
        var hasEnded = false

        mutating func nextEvent() -> AnswerEvent? {
            guard position < events.count else { return nil }
            defer { position += 1 }
            return events[position]
        }
    }

    private let answers: AnswerStream
    private let permit: Tenant.Permit?
    private let exchange: Exchange
    private let state: Mutex<State>

    /// - Parameter first: events that were taken already, and charged.
    init(_ answers: AnswerStream, first: [AnswerEvent], _ format: any AnswerFormat, permit: Tenant.Permit?, exchange: Exchange) {
        self.answers = answers
        self.permit = permit
        self.exchange = exchange
        state = Mutex(State(format: format, events: first))
    }

    /// Also if nobody ever read it, because its client went before the head was out.
    deinit { abandon() }

    func next(into bytes: inout [UInt8], orTell listener: @escaping @Sendable () -> Void) -> ReplyStep {
        state.withLock { state in
            while true {
                while let event = state.nextEvent() {
                    let end = bytes.count
                    state.format.stream(event, to: &bytes)
                    if bytes.count > end { return .piece(arrival: event.arrival) }
                }
                guard !state.hasEnded else { return .ended(failure: nil) }
                switch answers.take(orTell: listener) {
                case .events(let events):
                    if let permit { for event in events { permit.charge(event.kind) } }
                    (state.events, state.position) = (events, 0)
                case .ended(let failure):
                    state.hasEnded = true
                    end(failure, &state.format, &bytes)
                    return .piece(arrival: nil)
                case nil: return .nothingYet
                }
            }
        }
    }

    private func end(_ failure: (any Error)?, _ format: inout any AnswerFormat, _ bytes: inout [UInt8]) {
        if let failure {
            let error = APIError(ending: failure, tokenCount: format.usage.completionTokens)
            exchange.logger.info("failed while streaming", metadata: ["error": "\(error.message)"])
            ServerSentEvents.write(failure: error, to: &bytes)
        } else {
            format.endStream(to: &bytes)
            bytes += ServerSentEvents.done
        }
        permit?.giveBack()
    }

    func abandon() {
        answers.cancel()
        permit?.giveBack()
    }
}
