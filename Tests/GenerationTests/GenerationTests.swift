import Generation
import Testing

@Suite struct StopConditionsTests {
    private let stop = StopConditions(maxTokens: 3, endTokens: [7])

    @Test func anEndTokenStopsAtOnce() {
        #expect(stop.finishReason(after: 7, at: 0) == .stop)
    }

    @Test func theLastTokenEndsByLength() {
        #expect(stop.finishReason(after: 1, at: 1) == nil)
        #expect(stop.finishReason(after: 1, at: 2) == .length)
    }

    @Test func anEndTokenInLastPlaceIsAStop() {
        #expect(stop.finishReason(after: 7, at: 2) == .stop)
    }

    @Test func beforeTheLeastLengthNothingButTheGreatestOneEnds() {
        let stop = StopConditions(maxTokens: 5, minTokens: 2, endTokens: [7])
        #expect(stop.maskedTokens(at: 0) == [7] && stop.maskedTokens(at: 1) == [7] && stop.maskedTokens(at: 2).isEmpty)
        #expect(stop.finishReason(after: 7, at: 1) == nil)
        #expect(stop.finishReason(after: 7, at: 2) == .stop)
        #expect(StopConditions(maxTokens: 1, minTokens: 2).finishReason(after: 3, at: 0) == .length)
    }
}
