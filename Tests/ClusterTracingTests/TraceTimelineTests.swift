import ClusterCore
import Foundation
import Generation
import Testing

@testable import ClusterTracing

@Suite struct TraceTimelineTests {
    private static let prefill = WorkerID("prefill-0"), decode = WorkerID("decode-0"), mixed = WorkerID("mixed-0")

    /// A request's life on separated workers, a millisecond an event.
    private static func life(of id: UInt64, row: Int, from start: Int = 0) -> [ClusterEvent] {
        let kinds: [ClusterEvent.Kind] = [
            .submitted(promptCount: 40, .normal), .assigned(prefill: prefill, decode: decode), .prefillStarted(prefill),
            .firstToken(prefill), .token(index: 0), .kvWhole(decode), .embedded(decode, row: row), .token(index: 1),
            .left(decode, row: row), .finished(.length),
        ]
        return events(kinds, of: id, from: start)
    }

    private static func events(_ kinds: [ClusterEvent.Kind], of id: UInt64?, from start: Int = 0) -> [ClusterEvent] {
        kinds.enumerated().map {
            ClusterEvent(time: .milliseconds(start + $0), request: id.map { RequestID($0) }, kind: $1)
        }
    }

    private static func trace(_ events: [ClusterEvent]) throws -> ParsedTrace {
        var timeline = TraceTimeline()
        let records = events.flatMap { timeline.take($0) } + timeline.end(at: .seconds(10))
        return try ParsedTrace("[" + records.map(\.json).joined(separator: ",") + "]")
    }

    @Test func aRequestIsAPromptATransferAndARow() throws {
        let trace = try Self.trace(Self.life(of: 7, row: 3))
        try trace.checkSpans()
        #expect(trace.spans(named: "prefill 7") == [ParsedTrace.Span(process: "prefill-0", begin: 2000, end: 3000)])
        #expect(trace.spans(named: "request 7") == [ParsedTrace.Span(process: "decode-0", begin: 6000, end: 8000)])
        #expect(trace.asyncSpans(named: "KV of 7") == [ParsedTrace.Span(process: "decode-0", begin: 2000, end: 5000)])
        #expect(trace.asyncSpans(named: "request 7") == [ParsedTrace.Span(process: "cluster", begin: 0, end: 9000)])
        #expect(trace.asyncSpans(named: "waiting") == [ParsedTrace.Span(process: "cluster", begin: 0, end: 1000)])
    }

    @Test func anArrowLeadsFromThePromptToTheRow() throws {
        let trace = try Self.trace(Self.life(of: 7, row: 3))
        let arrows = trace.events.filter { ["s", "f"].contains($0.phase) }
        #expect(arrows.map(\.phase) == ["s", "f"])
        #expect(arrows.map(\.time) == [3000, 6000])
    }

    @Test func promptsThatRunSideBySideHaveLanesOfTheirOwn() throws {
        let together = (Self.life(of: 1, row: 0) + Self.life(of: 2, row: 1)).sorted { $0.time < $1.time }
        let trace = try Self.trace(together)
        try trace.checkSpans()
        #expect(trace.tracks(of: "prefill 1") != trace.tracks(of: "prefill 2"))
        // A lane is used again when it is free.
        let later = try Self.trace(Self.life(of: 1, row: 0) + Self.life(of: 2, row: 0, from: 20))
        #expect(later.tracks(of: "prefill 1") == later.tracks(of: "prefill 2"))
        #expect(later.tracks(of: "request 1") == later.tracks(of: "request 2"))
    }

    @Test func aMixedWorkerHasNoTransfer() throws {
        let trace = try Self.trace(Self.events(
            [
                .submitted(promptCount: 40, .normal), .assigned(prefill: Self.mixed, decode: Self.mixed), .prefillStarted(Self.mixed),
                .firstToken(Self.mixed), .kvWhole(Self.mixed), .embedded(Self.mixed, row: 0), .left(Self.mixed, row: 0),
                .finished(.length),
            ], of: 1))
        try trace.checkSpans()
        #expect(trace.asyncSpans(named: "KV of 1").isEmpty)
        #expect(trace.spans(named: "prefill 1").count == 1)
    }

    @Test func aParkedRequestHasASpanBetweenItsRows() throws {
        let life = Array(Self.life(of: 1, row: 0).prefix(8))
        let rest = Self.events(
            [
                .parked(Self.decode), .left(Self.decode, row: 0), .resumed(Self.decode), .embedded(Self.decode, row: 3), .left(Self.decode, row: 3),
                .finished(.length),
            ], of: 1, from: 20)
        let trace = try Self.trace(life + rest)
        try trace.checkSpans()
        #expect(trace.asyncSpans(named: "parked 1") == [ParsedTrace.Span(process: "decode-0", begin: 20_000, end: 22_000)])
        #expect(trace.spans(named: "request 1").map(\.begin) == [6000, 23_000])
        #expect(trace.spans(named: "request 1").map(\.end) == [20_000, 24_000])
        // Its worker dies, or it ends, while it is parked.
        let lost = ClusterEvent(time: .milliseconds(30), request: nil, kind: .workerLost(Self.decode, "gone"))
        try Self.trace(life + rest.prefix(1) + [lost]).checkSpans()
        try Self.trace(life + rest.prefix(1) + Self.events([.failed(.timedOut)], of: 1, from: 30)).checkSpans()
    }

    /// Every prefix of a life, then a failed attempt and the whole life again, or the worker's death, or nothing more.
    @Test(arguments: 0...10)
    func noSpanStaysOpenWhateverGoesWrong(length: Int) throws {
        let part = Array(Self.life(of: 1, row: 0).prefix(length))
        try Self.trace(part).checkSpans()
        let lost = ClusterEvent(time: .milliseconds(30), request: nil, kind: .workerLost(Self.decode, "silent \"for\" long\n"))
        try Self.trace(part + [lost]).checkSpans()
        let retried = Self.events([.retried("its worker died")], of: 1, from: 31)
        let again = Array(Self.life(of: 1, row: 2, from: 40).dropFirst())
        let trace = try Self.trace(part + [lost] + retried + again)
        try trace.checkSpans()
        if (1...9).contains(length) { #expect(trace.spans(named: "request 1").last?.end == 48_000) }
    }

    @Test func aRowThatIsTakenAgainEndsTheSpanBefore() throws {
        let first = Self.life(of: 1, row: 0).filter { if case .left = $0.kind { false } else { true } }.dropLast()
        let trace = try Self.trace(first + Self.life(of: 2, row: 0, from: 20))
        try trace.checkSpans()
        #expect(trace.spans(named: "request 1") == [ParsedTrace.Span(process: "decode-0", begin: 6000, end: 26_000)])
    }

    @Test func itForgetsWhatHasEnded() {
        var timeline = TraceTimeline()
        for id in 0..<UInt64(100) { for event in Self.life(of: id, row: Int(id % 4), from: Int(id) * 20) { _ = timeline.take(event) } }
        #expect(timeline.end(at: .seconds(10)).isEmpty)
    }

    @Test func eventsOfRequestsBeforeItsTimeAreLeftOut() throws {
        let trace = try Self.trace(Array(Self.life(of: 1, row: 0).dropFirst(4)))
        try trace.checkSpans()
        #expect(trace.spans(named: "request 1").isEmpty)
    }

    @Test func namesAreWrittenAsJSON() throws {
        let odd = WorkerID("a \"worker\"\\\u{1}")
        let trace = try Self.trace([ClusterEvent(time: .zero, request: nil, kind: .workerJoined(odd, .decode))])
        #expect(trace.processNames.contains("a \"worker\"\\\u{1} (decode)"))
    }
}
