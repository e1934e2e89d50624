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
}
