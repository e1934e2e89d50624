import Generation
import Testing

@testable import Tokenizer

/// The text of an answer, as far as stop strings bound it.
@Suite struct AnswerTextTests {
    private func text(
        of tokens: [TokenID], _ tokenizer: Tokenizer, stops: [String], minTokens: Int32 = 0, includesStopString: Bool = false
    ) -> (text: String, count: Int) {
        var answer = AnswerText(
            tokenizer: tokenizer, stopStrings: stops, endTokens: [], minTokens: minTokens, includesStopString: includesStopString)
        var shown = "", count = 0
        for token in tokens where !answer.isStopped {
            shown += answer.append(token)
            count += 1
        }
        return (shown + answer.finish(), count)
    }

    @Test func aStopStringCountsOnlyInTheTextOfLaterTokens() throws {
        let tokenizer = try Fixtures.tokenizer("gpt2")
        let tokens = try tokenizer.encode("one two three two four")
        let first = text(of: tokens, tokenizer, stops: ["two"])
        #expect(first.text == "one ")
        let second = text(of: tokens, tokenizer, stops: ["two"], minTokens: Int32(first.count))
        #expect(second.text == "one two three " && second.count > first.count)
        let shown = text(of: tokens, tokenizer, stops: ["two"], minTokens: Int32(first.count), includesStopString: true)
        #expect(shown.text == "one two three two" && shown.count == second.count)
        #expect(text(of: tokens, tokenizer, stops: ["two"], minTokens: Int32(tokens.count)).text == "one two three two four")
    }
}
