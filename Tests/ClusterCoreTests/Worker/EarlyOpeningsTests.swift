import Testing

@testable import ClusterCore

@Suite struct EarlyOpeningsTests {
    private func open(_ request: UInt64) -> KVOpen {
        KVOpen(
            epoch: ClusterEpoch(1), attempt: AttemptID(request: RequestID(request), ordinal: 1), modelHash: "m",
            geometry: KVGeometry(layerCount: 1, blockSize: 4, keyValueHeads: 1, headDimension: 2, bytesPerElement: 4),
            tokenCount: 3)
    }

    @Test func theOldestIsForgottenFirst() {
        var early = EarlyOpenings(capacity: 2)
        for request: UInt64 in 1...3 { early.insert(open(request), from: PeerID(request)) }
        #expect(early.remove(open(1).attempt) == nil)
        #expect(early.remove(open(2).attempt)?.peer == PeerID(2))
        #expect(early.remove(open(2).attempt) == nil)
        #expect(early.remove(open(3).attempt)?.open == open(3))
    }

    @Test func aRepeatedOpeningCountsOnceAndTheLatestPeerGetsTheAnswer() {
        var early = EarlyOpenings(capacity: 1)
        early.insert(open(1), from: PeerID(1))
        early.insert(open(1), from: PeerID(2))
        #expect(early.remove(open(1).attempt)?.peer == PeerID(2))
    }
}
