import Synchronization

/// The answers to requests that were submitted together, on their way from whoever makes them to the one who passes them on. Neither
/// waits for the other: what is not taken yet is kept, up to a limit.
public final class AnswerStream: Sendable {
    /// What has come since somebody last looked.
    public enum News: Sendable {
        /// In order for each request.
        case events([AnswerEvent])
        /// All choices of all requests have ended, or one request has failed, with a `RequestFailure`. Nothing follows.
        case ended(failure: (any Error)?)
    }

    /// What became of an event.
    public enum Intake: Sendable {
        case taken
        /// So much waits already that this one is lost.
        case full
        /// The stream has ended.
        case ended
    }

    private struct State {
        var events: [AnswerEvent] = []
        var ending: News?
        var listener: (@Sendable () -> Void)?
    }

    private let limit: Int
    private let onCancel: @Sendable () -> Void
    private let state = Mutex(State())

    /// - Parameters:
    ///   - limit: events that may wait to be taken.
    ///   - onCancel: called when nobody wants the answers any more.
    public init(limit: Int = .max, onCancel: @escaping @Sendable () -> Void) {
        self.limit = limit
        self.onCancel = onCancel
    }

    // MARK: Whoever makes the answers

    public func put(_ event: AnswerEvent) -> Intake {
        let (intake, listener) = state.withLock { state -> (Intake, (@Sendable () -> Void)?) in
            guard state.ending == nil else { return (.ended, nil) }
            guard state.events.count < limit else { return (.full, nil) }
            state.events.append(event)
            return (.taken, state.listener.take())
        }
        listener?()
        return intake
    }

    /// The first end counts. What was put in before is still to be had.
    ///
    /// - Returns: whether this is the first.
    @discardableResult
    public func end(failure: (any Error)? = nil) -> Bool {
        let (isFirst, listener) = state.withLock { state -> (Bool, (@Sendable () -> Void)?) in
            guard state.ending == nil else { return (false, nil) }
            state.ending = .ended(failure: failure)
            return (true, state.listener.take())
        }
        listener?()
        return isFirst
    }

    // MARK: Whoever passes them on: one at a time

    /// What has come. If there is nothing, `listener` is called as soon as there is: once, on the thread that brings it.
    func take(orTell listener: @escaping @Sendable () -> Void) -> News? {
        state.withLock { state in
            guard state.events.isEmpty else {
                defer { state.events = [] }
                return .events(state.events)
            }
            if let ending = state.ending { return ending }
            state.listener = listener
            return nil
        }
    }

    /// Waits for what comes.
    func news() async -> News {
        await withTaskCancellationHandler {
            while true {
                let news = await withCheckedContinuation { (continuation: CheckedContinuation<News?, Never>) in
                    let news = take { continuation.resume(returning: nil) }
                    if let news { continuation.resume(returning: news) }
                }
                if let news { return news }
            }
        } onCancel: {
            cancel()
        }
    }

    /// Nobody wants the answers any more. Of those that have ended that need not be said.
    func cancel() {
        if end(failure: CancellationError()) { onCancel() }
    }
}
