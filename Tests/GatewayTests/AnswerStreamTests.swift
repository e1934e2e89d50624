import ClusterCore
import Generation
import JSONReader
import Logging
import Synchronization
import Testing

@testable import Gateway

@Suite struct AnswerStreamTests {
    private func token(_ index: Int32) -> AnswerEvent {
        AnswerEvent(request: 0, kind: .tokens(choice: 0, firstIndex: index, [ScoredToken(7, nil)], text: "x"))
    }

    private func events(_ news: AnswerStream.News?) -> [AnswerEvent]? { if case .events(let events)? = news { events } else { nil } }

    @Test func whatWaitsIsTakenInOrderAndTheEndIsLast() throws {
        let stream = AnswerStream {}
        for index in 0..<3 { #expect(stream.put(token(Int32(index))) == .taken) }
        stream.end()
        #expect(stream.put(token(3)) == .ended)
        #expect(events(stream.take {}) == (0..<3).map { token($0) })
        guard case .ended(failure: nil)? = stream.take(orTell: {}) else { throw Missing() }
        // It has still ended.
        guard case .ended(failure: nil)? = stream.take(orTell: {}) else { throw Missing() }
    }

    @Test func whoeverFoundNothingIsToldOnce() {
        let stream = AnswerStream {}
        let calls = Mutex(0)
        let found = stream.take { calls.withLock { $0 += 1 } }
        #expect(events(found) == nil)
        for index in 0..<3 { _ = stream.put(token(Int32(index))) }
        #expect(calls.withLock { $0 } == 1)
        #expect(events(stream.take { calls.withLock { $0 += 1 } })?.count == 3)
        // There was something, so nothing is told of what comes next.
        _ = stream.put(token(3))
        #expect(calls.withLock { $0 } == 1)
    }

    @Test func whatNobodyTakesIsBounded() {
        let stream = AnswerStream(limit: 2) {}
        #expect((0..<3).map { stream.put(token($0)) } == [.taken, .taken, .full])
        #expect(events(stream.take {})?.count == 2)
        #expect(stream.put(token(2)) == .taken)
    }

    @Test func theFirstEndCounts() throws {
        let stream = AnswerStream {}
        stream.end(failure: RequestFailure(code: .overloaded, message: "full"))
        stream.end()
        guard case .ended(let failure?)? = stream.take(orTell: {}) else { throw Missing() }
        #expect((failure as? RequestFailure)?.code == .overloaded)
    }

    @Test func anAnswerThatNobodyReadsIsCancelled() throws {
        let cancellations = Mutex(0)
        let stream = AnswerStream { cancellations.withLock { $0 += 1 } }
        let exchange = Exchange(id: "x", logger: Logger(label: "test"), watch: ConnectionWatch())
        let request = try CompletionRequest(#require(try JSONDocument(file: "x", source: Array(#"{"prompt": "x"}"#.utf8)).root.object))
        let head = AnswerHead(id: "x", seed: 0, created: 0, model: "x")
        let format = CompletionFormat(request, prompts: [[1]], head: head, tokenizer: try FakeBackend.tokenizer.get())
        var answer: StreamedAnswer? = StreamedAnswer(stream, first: [], format, permit: nil, exchange: exchange)
        #expect(cancellations.withLock { $0 } == 0)
        answer = nil
        #expect(cancellations.withLock { $0 } == 1)
        _ = answer
    }

    @Test func whoeverWaitsIsWokenByTheEnd() async throws {
        let cancellations = Mutex(0)
        let stream = AnswerStream { cancellations.withLock { $0 += 1 } }
        async let news = stream.news()
        stream.cancel()
        guard case .ended(let failure?) = await news else { throw Missing() }
        #expect(failure is CancellationError)
        #expect(cancellations.withLock { $0 } == 1)
    }

    private struct Missing: Error {}
}
