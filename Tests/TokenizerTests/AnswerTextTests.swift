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

    /// Whatever token the boundary lies behind, the answer ends with the first stop string that ends in a later one, and none of it is shown.
    @Test func aStopStringMayBeginInTheTextOfEarlierTokens() throws {
        let tokenizer = try Fixtures.tokenizer("gpt2")
        let whole = "one two three, then one two three again"
        let tokens = try tokenizer.encode(whole), stop = "e two th"
        for least in 0...tokens.count {
            let before = tokenizer.decode(Array(tokens[..<least])).utf8.count
            let match = whole.ranges(of: stop).first { whole.utf8.distance(from: whole.startIndex, to: $0.upperBound) > before }
            let expected = match.map { String(whole[..<$0.lowerBound]) } ?? whole
            #expect(text(of: tokens, tokenizer, stops: [stop], minTokens: Int32(least)).text == expected, "\(least)")
        }
    }

    @Test func onlyTheSpecialTokensToBeKeptAreText() throws {
        let tokenizer = try Fixtures.tokenizer("qwen2")
        let tokens = try tokenizer.encode("a<|im_start|>b<|im_end|>c<|endoftext|>")
        let kept = try #require(tokenizer.id(of: "<|im_start|>")), end = try #require(tokenizer.id(of: "<|endoftext|>"))
        var answer = AnswerText(tokenizer: tokenizer, stopStrings: [], endTokens: [end], keptTokens: [kept, end])
        var text = ""
        for token in tokens { text += answer.append(token) }
        #expect(text + answer.finish() == "a<|im_start|>bc")
    }
}
