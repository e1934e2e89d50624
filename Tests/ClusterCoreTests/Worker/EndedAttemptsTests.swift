import Testing

@testable import ClusterCore

@Suite struct EndedAttemptsTests {
    private func attempt(_ request: UInt64, _ ordinal: UInt32) -> AttemptID {
        AttemptID(request: RequestID(request), ordinal: ordinal)
    }

    @Test func olderAttemptsAreOverAndNewerOnesUnknown() {
        var ended = EndedAttempts(capacity: 2)
        ended.insert(attempt(1, 2), wasWhole: true)
        ended.insert(attempt(1, 1), wasWhole: false)
        #expect(ended.answer(to: attempt(1, 1)) == .over)
        #expect(ended.answer(to: attempt(1, 2)) == .complete)
        #expect(ended.answer(to: attempt(1, 3)) == .unknown)
        ended.insert(attempt(1, 3), wasWhole: false)
        #expect(ended.answer(to: attempt(1, 2)) == .over)
    }

    @Test func forgetsTheOldestRequest() {
        var ended = EndedAttempts(capacity: 2)
        for request in 1...3 { ended.insert(attempt(UInt64(request), 1), wasWhole: true) }
        #expect(ended.answer(to: attempt(1, 1)) == .unknown)
        #expect(ended.answer(to: attempt(2, 1)) == .complete)
        ended.checkInvariants()
    }
}
