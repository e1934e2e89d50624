import BatonClient
import ClusterCore
import Generation
import Testing

@testable import BatonClient

/// Answers that are put together, and those that are asked for twice.
@Suite struct AnswerReplayTests {
    private func acceptance(seed: UInt64 = 1, choices: Int32 = 1) -> AnswerEvent {
        .accepted(Acceptance(request: RequestID(1), seed: seed, promptCount: 3, choices: choices))
    }

    private func tokens(_ first: Int32, _ tokens: [TokenID], _ text: String, choice: Int32 = 0) -> AnswerEvent {
        .tokens(choice: choice, firstIndex: first, tokens: tokens.map { ScoredToken($0) }, text: text)
    }

    private func end(_ count: Int32, choice: Int32 = 0, text: String = "") -> AnswerEvent {
        .finished(
            choice: choice,
            Completion(
                reason: .length, text: text, tokenCount: count, timings: Timings(), prefillWorker: WorkerID("p"), decodeWorker: nil,
                attempts: 1))
    }

    @Test func theSecondRunGoesOnWhereTheFirstOneBroke() throws {
        var replay = AnswerReplay()
        #expect(try replay.take(acceptance()) == acceptance())
        #expect(try replay.take(.prompt(first: 0, tokens: [ScoredToken(7), ScoredToken(8)]))
            == .prompt(first: 0, tokens: [ScoredToken(7), ScoredToken(8)]))
        #expect(try replay.take(tokens(0, [1, 2], "ab")) == tokens(0, [1, 2], "ab"))
        #expect(try replay.take(tokens(2, [3], "")) == tokens(2, [3], ""))
        replay.restart()
        #expect(try replay.take(acceptance()) == nil)
        // Whatever was in one message may be in another now.
        #expect(try replay.take(.prompt(first: 0, tokens: [ScoredToken(7), ScoredToken(8), ScoredToken(9)]))
            == .prompt(first: 2, tokens: [ScoredToken(9)]))
        #expect(try replay.take(tokens(0, [1], "a")) == nil)
        #expect(try replay.take(tokens(1, [2, 3, 4], "bcd")) == tokens(3, [4], "cd"))
        #expect(try replay.take(tokens(4, [5], "é")) == tokens(4, [5], "é"))
        #expect(try replay.take(end(5)) == end(5))
        replay.restart()
        #expect(try replay.take(end(5)) == nil)
    }

    @Test func anotherAnswerIsNotTakenForTheSame() throws {
        var replay = AnswerReplay()
        _ = try replay.take(acceptance())
        _ = try replay.take(tokens(0, [1, 2], "ab"))
        replay.restart()
        #expect(throws: ClientError.self) { try replay.take(acceptance(seed: 2)) }
        #expect(throws: ClientError.self) { try replay.take(tokens(0, [1, 3], "ac")) }
        #expect(throws: ClientError.self) { try replay.take(tokens(0, [1], "", choice: 1)) }
    }

    @Test func anAnswerIsWholeWhenEveryChoiceHasEnded() throws {
        var assembly = AnswerAssembly()
        try assembly.take(acceptance(choices: 2))
        try assembly.take(tokens(0, [1], "a"))
        try assembly.take(tokens(0, [2, 3], "bc", choice: 1))
        try assembly.take(end(2, choice: 1, text: "!"))
        #expect(assembly.answer == nil && !assembly.isFinished)
        try assembly.take(end(1))
        let answer = try #require(assembly.answer)
        #expect(answer.choices.map(\.text) == ["a", "bc!"] && answer.text == "a")
        #expect(throws: ClientError.brokenStream("a message after the end")) { try assembly.take(end(1)) }
    }

    @Test func aBrokenStreamIsSeen() throws {
        func flaw(_ events: [AnswerEvent]) -> String? {
            var assembly = AnswerAssembly()
            do {
                for event in events { try assembly.take(event) }
                return nil
            } catch {
                return "\(error)"
            }
        }
        #expect(flaw([tokens(0, [1], "")]) != nil)
        #expect(flaw([acceptance(), acceptance()]) != nil)
        #expect(flaw([acceptance(), tokens(1, [1], "")]) != nil)
        #expect(flaw([acceptance(), tokens(0, [1], "", choice: 1)]) != nil)
        #expect(flaw([acceptance(), .prompt(first: 1, tokens: [])]) != nil)
        #expect(flaw([acceptance(), end(1)]) != nil)
        #expect(flaw([acceptance(choices: 2), end(0), end(0)]) != nil)
        #expect(flaw([acceptance(choices: 0)]) != nil && flaw([acceptance(choices: 1000)]) != nil)
        #expect(flaw([acceptance(choices: 2), end(0, choice: 1), end(0)]) == nil)
    }
}
