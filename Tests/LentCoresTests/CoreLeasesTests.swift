import ClusterCore
import Testing

@testable import LentCores

extension Instant {
    static func at(_ milliseconds: Double) -> Instant { Instant(nanoseconds: Int64(milliseconds * 1e6)) }
}

@Suite struct CoreLeasesTests {
    @Test func aWorkerAtWorkHasItsHomesAndOneAtRestHasNothing() {
        let host = FakeHost()
        let worker = FakeWorker(host, 0, homes: [2, 0])
        #expect(host.isUntouched)
        #expect(worker.take(0))
        #expect(worker.crew == [2, 0])
        worker.end(1)
        #expect(host.leases == [2: 0, 0: 0], "the next step follows at once")
        worker.rest(2)
        #expect(host.isUntouched && worker.crew == [])
    }

    @Test func idleCoresOfOthersAreBorrowedWhileThereAreSteps() {
        let host = FakeHost()
        let prefill = FakeWorker(host, 0, homes: [0]), decode = FakeWorker(host, 1, homes: [1])
        #expect(prefill.take(0) && prefill.crew == [0, 1])
        prefill.end(4)
        #expect(prefill.take(4.1) && prefill.crew == [0, 1], "nobody wants it, and the next step follows at once")
        prefill.end(5)
        prefill.rest(5)
        #expect(prefill.leases.counters == CoreLeaseCounters(borrowed: 1, borrowedNanoseconds: 5_000_000))
        #expect(decode.take(6) && decode.crew == [1, 0])
        #expect(!prefill.take(7))
        decode.end(8)
        #expect(decode.crew == [1], "wanted at home")
        #expect(prefill.take(9) && prefill.crew == [0], "a core that has its worker is not lent")
    }

    @Test func aCoreThatIsWantedBetweenTwoStepsIsGivenUpBeforeTheNext() {
        let host = FakeHost()
        let prefill = FakeWorker(host, 0, homes: [0]), decode = FakeWorker(host, 1, homes: [1])
        prefill.take(0)
        prefill.end(1)
        #expect(!decode.take(1.1))
        #expect(prefill.take(1.2) && prefill.crew == [0])
        #expect(decode.take(1.3) && decode.crew == [1])
    }

    @Test func coresWithoutAWorkerAreNotTheClusters() {
        let host = FakeHost()
        let worker = FakeWorker(host, 0, homes: [0])
        _ = host.board(of: 1, homes: [3])
        worker.take(0)
        #expect(worker.crew == [0, 3], "1 and 2 are nobody's home")
        host.die(1)
        worker.end(1)
        worker.take(2000)
        #expect(worker.crew == [0])
    }

    @Test func noMoreThanTheGreatestNumberOfCores() {
        let host = FakeHost()
        let worker = FakeWorker(host, 0, homes: [0], maxCores: 3)
        for other in 1...8 { _ = host.board(of: other, homes: [other]) }
        worker.take(0)
        for time in 1...20 { worker.look(Double(time)) }
        #expect(worker.crew.count == 3)
        worker.leases.mayBorrow = false
        worker.end(21)
        worker.take(22)
        #expect(worker.crew == [0])
    }

    /// Whoever comes home waits until the borrower's next look, and no longer.
    @Test func aBorrowedCoreGoesHomeAtTheNextLook() {
        let host = FakeHost()
        let prefill = FakeWorker(host, 0, homes: [0]), decode = FakeWorker(host, 1, homes: [1])
        prefill.take(0)
        #expect(!decode.take(10))
        prefill.look(10.5)
        #expect(prefill.crew == [0])
        #expect(decode.take(10.6) && decode.crew == [1])
        #expect(decode.leases.counters.waits == 1 && decode.leases.counters.waitNanoseconds == 600_000)
        prefill.look(11)
        #expect(prefill.crew == [0])
        decode.end(12)
        decode.rest(12)
        prefill.look(12.5)
        #expect(prefill.crew == [0, 1], "lent again within the step")
    }

    @Test func aCoreThatIsWaitedForIsNotBorrowed() {
        let host = FakeHost()
        let a = FakeWorker(host, 0, homes: [0]), b = FakeWorker(host, 1, homes: [1]), c = FakeWorker(host, 2, homes: [2])
        a.take(0)
        c.take(0)
        #expect(a.crew.count + c.crew.count == 3)
        let lender = a.crew.contains(1) ? 0 : 2
        #expect(!b.take(1))
        if lender == 0 { a.look(2) } else { c.look(2) }
        // The other borrower comes first, and leaves it alone.
        if lender == 0 { c.look(2.1) } else { a.look(2.1) }
        #expect(a.crew == [0] && c.crew == [2])
        #expect(b.take(2.2) && b.crew == [1])
    }

    /// Whoever has enough elsewhere calls nobody back.
    @Test func aWorkerKeptFromHomeRunsElsewhere() {
        let host = FakeHost()
        let a = FakeWorker(host, 0, homes: [0], maxCores: 1), b = FakeWorker(host, 1, homes: [1], maxCores: 3)
        let c = FakeWorker(host, 2, homes: [2], maxCores: 1)
        b.take(0)
        #expect(b.crew.sorted() == [0, 1, 2])
        #expect(!c.take(1))
        b.look(1.5)
        #expect(b.crew.sorted() == [0, 1], "only what is wanted is given back")
        #expect(c.take(2) && c.crew == [2])
        b.end(3)
        // While b rests, c may be anywhere: a, kept from home, takes the core of b, and c may keep 0.
        b.rest(3)
        #expect(host.leases == [2: 2])
        host.leases[0] = 7
        #expect(a.take(4) && a.crew == [1])
        #expect(!b.board.isWanted(0))
    }

    @Test func whoComputesPromptsIsKeenWhileAtWork() {
        let host = FakeHost()
        let prefill = FakeWorker(host, 0, homes: [0], isKeen: true), decode = FakeWorker(host, 1, homes: [1])
        decode.take(0)
        #expect(!prefill.board.areOthersKeen() && !decode.board.areOthersKeen())
        prefill.take(1)
        #expect(decode.board.areOthersKeen() && !prefill.board.areOthersKeen())
        prefill.end(2)
        #expect(decode.board.areOthersKeen(), "the next step follows at once")
        prefill.rest(3)
        #expect(!decode.board.areOthersKeen())
        prefill.leases.mayBorrow = false
        prefill.take(4)
        #expect(!decode.board.areOthersKeen(), "it could not use them")
        let alone = FakeWorker(host, 2, homes: [2], maxCores: 1, isKeen: true)
        alone.take(5)
        #expect(!decode.board.areOthersKeen())
    }

    @Test func looksAreNotMoreOftenThanTheirInterval() {
        let host = FakeHost()
        let prefill = FakeWorker(host, 0, homes: [0]), decode = FakeWorker(host, 1, homes: [1])
        prefill.take(0)
        prefill.look(0.1)
        #expect(!decode.take(0.2))
        prefill.look(0.3)
        #expect(prefill.crew == [0, 1])
        prefill.look(0.4)
        #expect(prefill.crew == [0])
    }

    /// A core that several are at home on goes round, and nobody takes it past the one who waits.
    @Test func aSharedHomeGoesRoundInSlices() {
        let host = FakeHost()
        let workers = (0..<3).map { FakeWorker(host, $0, homes: [0]) }
        var time = [Double](repeating: 0, count: 3), now = 0.0
        for _ in 0..<3000 {
            for index in workers.indices {
                if workers[index].crew.isEmpty { workers[index].take(now) } else { workers[index].look(now) }
            }
            #expect(workers.count { !$0.crew.isEmpty } <= 1)
            for index in workers.indices where !workers[index].crew.isEmpty { time[index] += 0.1 }
            now += 0.1
        }
        #expect(time.allSatisfy { $0 > 80 }, "\(time) ms of 300")
    }

    @Test func nobodyWaitsForAProcessThatStandsStill() {
        let host = FakeHost()
        let stopped = FakeWorker(host, 0, homes: [0]), worker = FakeWorker(host, 1, homes: [1])
        stopped.take(0)
        #expect(!worker.take(1) && !worker.take(999))
        #expect(worker.take(1001) && worker.crew == [1])
        #expect(worker.leases.counters.overdueWaits == 1)
        worker.end(1010)
        worker.rest(1011)
        #expect(worker.take(1020), "it has waited once")
        #expect(worker.leases.counters.overdueWaits == 1)
        // It wakes, and sees who was waiting.
        stopped.look(1030)
        #expect(stopped.crew == [0])
        worker.look(1031)
        #expect(host.leases == [0: 0, 1: 1])
        worker.rest(1040)
        stopped.rest(1040)
        #expect(host.isUntouched)
        // From now on it waits again.
        stopped.take(1041)
        #expect(stopped.crew == [0, 1])
        #expect(!worker.take(1042))
    }

    @Test func theDeadHoldNothing() {
        let host = FakeHost()
        let victim = FakeWorker(host, 0, homes: [0]), worker = FakeWorker(host, 1, homes: [1])
        victim.take(0)
        #expect(!worker.take(1))
        host.die(0)
        #expect(worker.take(2) && worker.crew.first == 1)
    }

    /// Any workers, homes and times: no core has two, whoever has work gets on, and all comes back.
    @Test(arguments: 0..<60 as Range<UInt64>)
    func anyScheduleIsFairAndLeavesNothing(seed: UInt64) {
        var random = Random(state: seed)
        let host = FakeHost(), coreCount = random.next(1...5)
        let workers = (0..<random.next(1...6)).map { index in
            let count = random.next(1...min(2, coreCount)), first = random.next(0...coreCount - 1)
            return FakeWorker(host, index, homes: (0..<count).map { (first + $0) % coreCount }, maxCores: random.next(1...coreCount))
        }
        var busy = workers.map { _ in false }, starved = workers.map { _ in 0 }, now = 0.0
        for _ in 0..<1500 {
            let index = random.next(0...workers.count - 1)
            now += Double(random.next(1...30)) / 100
            if !busy[index] {
                busy[index] = random.next(0...3) == 0
            } else if workers[index].crew.isEmpty {
                starved[index] = workers[index].take(now) ? 0 : starved[index] + 1
                #expect(starved[index] < 200, "worker \(index) waits")
            } else {
                switch random.next(0...9) {
                case 0:
                    workers[index].end(now)
                case 1:
                    workers[index].end(now)
                    workers[index].rest(now)
                    busy[index] = false
                default: workers[index].look(now)
                }
            }
            let used = workers.flatMap(\.crew)
            #expect(used.count == Set(used).count, "a core has two workers: \(workers.map(\.crew))")
            for (worker, state) in workers.enumerated() {
                #expect(state.crew.allSatisfy { host.leases[$0] == worker })
                #expect(state.crew.count <= state.leases.rules.maxCores)
            }
        }
        for index in workers.indices { workers[index].rest(now) }
        #expect(host.isUntouched)
    }
}

private struct Random {
    var state: UInt64

    mutating func next(_ range: ClosedRange<Int>) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return range.lowerBound + Int((value ^ value >> 31) % UInt64(range.count))
    }
}
