import ClusterCore
import Testing

@Suite struct TransferCreditTests {
    @Test func repeatedAndOvertakenRepliesChangeNothing() {
        var sender = TransferCredit.Sender()
        for limit in [4, 12, 4, 12, 0, 8] { sender.raise(to: limit) }
        #expect(sender.available == 12)
        sender.spend(10)
        sender.raise(to: 12)
        #expect(sender.available == 2)
        sender.checkInvariants()
    }

    @Test func theWindowMovesWithWhatArrives() {
        var receiver = TransferCredit.Receiver(window: 8)
        #expect(receiver.limit == 8)
        receiver.arrive(3)
        #expect(receiver.limit == 11)
        receiver.checkInvariants()
    }

    @Test func creditOfLostBlocksComesBackOnce() {
        var receiver = TransferCredit.Receiver(window: 8)
        receiver.arrive(2)  // Of eight that were sent.
        receiver.declare(sent: 8)
        receiver.declare(sent: 8)
        receiver.declare(sent: 5)
        #expect(receiver.limit == 16)
        receiver.arrive(6)  // They were only late.
        #expect(receiver.limit == 16)
        receiver.arrive(1)
        #expect(receiver.limit == 17)
    }

    @Test func anAbsurdDeclarationDoesNotOverflow() {
        var receiver = TransferCredit.Receiver(window: 8)
        receiver.declare(sent: .max)
        #expect(receiver.limit == .max)
    }
}
