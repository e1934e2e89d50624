import ClusterCore
import Testing

@Suite struct ControlLinkTests {
    var sender = ControlLink(clusterEpoch: ClusterEpoch(1), workerEpoch: WorkerEpoch(2))
    var receiver = ControlLink(clusterEpoch: ClusterEpoch(1), workerEpoch: WorkerEpoch(2))
    let start = Instant(nanoseconds: 0)

    @Test mutating func deliversInOrderAndOnce() {
        let (first, second, third) = (sender.stamp(), sender.stamp(), sender.stamp())
        #expect(receiver.receive(first) == .next)
        #expect(receiver.receive(first) == .duplicate)
        #expect(receiver.receive(third) == .gap(expected: 2))
        #expect(receiver.receive(second) == .next)
        #expect(receiver.receive(third) == .next)
    }

    @Test mutating func knowsItsEpochs() {
        var other = ControlLink(clusterEpoch: ClusterEpoch(1), workerEpoch: WorkerEpoch(1))
        #expect(receiver.receive(other.stamp()) == .stale)
        other = ControlLink(clusterEpoch: ClusterEpoch(9), workerEpoch: WorkerEpoch(2))
        #expect(receiver.receive(other.stamp()) == .stale)
    }

    @Test mutating func findsALostTail() {
        let message = sender.stamp()
        receiver.note(peerSent: sender.sent, at: start)
        #expect(!receiver.hasLostTail(at: start + .milliseconds(900), patience: .seconds(1)))
        #expect(receiver.hasLostTail(at: start + .milliseconds(1100), patience: .seconds(1)))
        #expect(receiver.receive(message) == .next)
        #expect(!receiver.hasLostTail(at: start + .seconds(9), patience: .seconds(1)))
    }
}
