import Generation
import Testing

@Suite struct StopMatcherTests {
    private func run(
        _ pieces: [String], stops: [String], includesStop: Bool = false
    ) -> (text: String, stopped: Bool) {
        var matcher = StopMatcher(stops, includesStop: includesStop)
        var text = ""
        for piece in pieces {
            switch matcher.append(piece) {
            case .text(let released): text += released
            case .stopped(let rest): return (text + rest, true)
            }
        }
        return (text + matcher.finish(), false)
    }

    @Test func aStopThatStraddlesPiecesIsNeverShown() {
        let outcome = run(["one t", "w", "o th", "ree"], stops: ["two"])
        #expect(outcome.text == "one ")
        #expect(outcome.stopped)
    }

    @Test func aStopMayBeShownButNothingBehindIt() {
        #expect(run(["one t", "w", "o th", "ree"], stops: ["two"], includesStop: true).text == "one two")
        #expect(run(["abc"], stops: ["bc", "b"], includesStop: true).text == "abc")
        #expect(run(["ab"], stops: ["bc"], includesStop: true) == ("ab", false))
    }

    @Test func textThatOnlyBeganLikeAStopIsReleased() {
        let outcome = run(["a<", "|e", "x"], stops: ["<|end|>"])
        #expect(outcome.text == "a<|ex")
        #expect(!outcome.stopped)
    }

    @Test func aStopMayBeginInTextThatCannotCompleteOne() {
        var matcher = StopMatcher(["two", "xtwoy"])
        #expect(matcher.pass("one two, xtwo") == "one two, ")
        // "two" ended before; what follows completes only the other one.
        #expect(matcher.append("y!") == .stopped(""))
        matcher = StopMatcher(["two", "xtwoy"])
        #expect(matcher.pass("xtwo") == "")
        #expect(matcher.append("z") == .text("xtwoz"))
        #expect(matcher.append("two") == .stopped(""))
        matcher = StopMatcher(["two"])
        #expect(matcher.pass("two t") == "two ")
        #expect(matcher.finish() == "t")
    }

    @Test func theEarliestStopWins() {
        #expect(run(["abcdef"], stops: ["de", "bc"]).text == "a")
    }

    @Test func overlappingBeginningsAreFound() {
        #expect(run(["aa", "a", "b!"], stops: ["aab"]) == ("a", true))
        #expect(run(["é", "è"], stops: ["è"]) == ("é", true))
    }

    @Test func everySplitOfATextGivesTheSameAnswer() {
        let characters = Array("xaababaabaac")
        for cut in 0...characters.count {
            let pieces = [String(characters[..<cut]), String(characters[cut...])]
            #expect(run(pieces, stops: ["aabaac", "zz"]).text == "xaabab")
        }
    }

    @Test func withoutStopsNothingIsHeldBack() {
        var matcher = StopMatcher([""])
        #expect(matcher.append("abc") == .text("abc"))
    }
}
