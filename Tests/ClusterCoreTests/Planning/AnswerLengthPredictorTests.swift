@testable import ClusterCore
import Testing

@Suite struct AnswerLengthPredictorTests {
    private func feed(_ predictor: inout AnswerLengthPredictor, _ length: Int, limit: Int) {
        predictor.noteStart()
        predictor.noteProgress(from: 0, to: length)
        if length < limit { predictor.noteEnd(length: length) }
    }

    @Test func nothingKnownMeansTheLimit() {
        let predictor = AnswerLengthPredictor()
        #expect(predictor.remaining(after: 0, limit: 100) == 100)
        #expect(predictor.remaining(after: 60, limit: 100) == 40)
        #expect(predictor.remaining(after: 100, limit: 100) == 0)
        #expect(predictor.remaining(after: 0, limit: .max) == Int(Int32.max))
    }

    @Test func findsTheMeanOfWhatHasEnded() {
        var predictor = AnswerLengthPredictor(), random = PlanningRandom(seed: 1)
        for _ in 0..<4000 { feed(&predictor, 20 + random.below(81), limit: 1000) }
        #expect((57...63).contains(predictor.remaining(after: 0, limit: 1000)))
        // Of those that came to 80, ends lie evenly in what is left, but for the doubt that any ends before the limit.
        #expect((8...15).contains(predictor.remaining(after: 80, limit: 1000)))
        // The limit cuts.
        #expect(predictor.remaining(after: 0, limit: 10) == 10)
    }

    @Test func answersThatStillRunAreNotForgotten() {
        // Half are 10 tokens, half 200; the long ones have come to 100 when all short ones have ended.
        var predictor = AnswerLengthPredictor()
        for _ in 0..<200 { feed(&predictor, 10, limit: 200) }
        for _ in 0..<200 {
            predictor.noteStart()
            predictor.noteProgress(from: 0, to: 100)
        }
        #expect((95...110).contains(predictor.remaining(after: 0, limit: 200)))
        #expect(predictor.remaining(after: 20, limit: 200) == 180)
    }

    @Test func classesCoverEveryLengthOnce() {
        var last = -1
        for length in 0..<10_000 {
            let index = AnswerLengthPredictor.lengthClass(length)
            #expect(AnswerLengthPredictor.bounds(of: index).contains(length) && (index == last || index == last + 1))
            last = index
        }
        #expect(AnswerLengthPredictor.lengthClass(.max) == AnswerLengthPredictor.lengthClass(Int(Int32.max)))
        #expect(AnswerLengthPredictor.lengthClass(-5) == 0)
    }
}
