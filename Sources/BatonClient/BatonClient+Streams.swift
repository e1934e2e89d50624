import ClusterCore
import Generation

/// What happens to one choice of a request, in order.
public enum ChoiceEvent: Sendable, Hashable {
    /// Consecutive tokens from `firstIndex` on, and the text that they complete.
    case tokens(firstIndex: Int32, tokens: [ScoredToken], text: String)
    /// Always last.
    case finished(Completion)
}

// Other ways to read an answer.
extension BatonClient {
    /// As ``generate(_:)``, but a lost connection or a restarted coordinator does not end the stream: the request is sent
    /// again with the seed that it had, and the stream goes on after the last token received, with the very tokens that
    /// would have come. They are computed again for that.
    ///
    /// - Parameter patience: time without an answering coordinator after which the stream throws all the same.
    public nonisolated func generate(
        _ submission: Submission, resumingFor patience: Duration
    ) -> AsyncThrowingStream<AnswerEvent, any Error> {
        let (stream, continuation) = AsyncThrowingStream<AnswerEvent, any Error>.makeStream()
        let reading = Task {
            do {
                try await self.read(submission, resumingFor: patience) { continuation.yield($0) }
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
        continuation.onTermination = { _ in reading.cancel() }
        return stream
    }

    private nonisolated func read(
        _ submission: Submission, resumingFor patience: Duration, _ report: (AnswerEvent) -> Void
    ) async throws {
        var submission = submission, replay = AnswerReplay(), lost: ContinuousClock.Instant?
        while true {
            do {
                for try await event in generate(submission) {
                    lost = nil
                    if let new = try replay.take(event) { report(new) }
                }
                return try Task.checkCancellation()
            } catch {
                let since = lost ?? .now
                lost = since
                guard Self.isWorthAsking(again: error), ContinuousClock.now - since < patience else { throw error }
                submission.seed = replay.acceptance?.seed ?? submission.seed
                replay.restart()
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    /// Whether the connection is at fault, or a coordinator that is about to go or has just come.
    private static func isWorthAsking(again error: any Error) -> Bool {
        switch error {
        case ClientError.connectionLost: true
        case let failure as RequestFailure: failure.code == .draining
        default: false
        }
    }

    /// Sends a request and streams each of its choices by itself, in their order. Every stream throws what ends the request.
    /// When all of them are read no more, the request is cancelled.
    public nonisolated func choices(of submission: Submission) -> [AsyncThrowingStream<ChoiceEvent, any Error>] {
        let parts = (0..<max(1, submission.choices)).map { _ in AsyncThrowingStream<ChoiceEvent, any Error>.makeStream() }
        let writers = parts.map(\.continuation), readers = ReaderCount(parts.count)
        let reading = Task {
            do {
                for try await event in self.generate(submission) {
                    switch event {
                    case .tokens(let choice, let first, let tokens, let text) where writers.indices.contains(Int(choice)):
                        writers[Int(choice)].yield(.tokens(firstIndex: first, tokens: tokens, text: text))
                    case .finished(let choice, let completion) where writers.indices.contains(Int(choice)):
                        writers[Int(choice)].yield(.finished(completion))
                        writers[Int(choice)].finish()
                    case .accepted, .prompt, .tokens, .finished: break
                    }
                }
                // A request that generates nothing has one choice, however many were asked for.
                for writer in writers { writer.finish(throwing: Task.isCancelled ? CancellationError() : nil) }
            } catch {
                for writer in writers { writer.finish(throwing: error) }
            }
        }
        for writer in writers {
            writer.onTermination = { _ in
                Task { if await readers.leave() { reading.cancel() } }
            }
        }
        return parts.map(\.stream)
    }
}

/// Streams that are still read.
private actor ReaderCount {
    private var count: Int

    init(_ count: Int) { self.count = count }

    /// - Returns: whether it was the last.
    func leave() -> Bool {
        count -= 1
        return count == 0
    }
}
