import Generation
import Testing

@testable import ClusterCore

/// When a batch waits for its next iteration, because prompts are computed on its cores.
@Suite struct LendingTests {
    private static let geometry = KVGeometry(
        layerCount: 1, blockSize: 4, keyValueHeads: 1, headDimension: 1, bytesPerElement: 4)
    private let epoch = ClusterEpoch(9)
    private let peer = PeerID(3)
    private let start = Instant(nanoseconds: 0)

    private func role(stretch: Double, rows: Int = 4, target: Duration? = nil, backgroundShare: Double = .infinity) -> DecodeRole {
        DecodeRole(.init(
            clusterEpoch: epoch, workerEpoch: WorkerEpoch(1), modelHash: "m", geometry: Self.geometry,
            blockCount: 64, maxSequences: rows, maxModelLength: 40, parking: .init(memory: 1 << 20),
            scaling: .init(policy: .threshold, target: target), lendingStretch: stretch, backgroundShare: backgroundShare))
    }

    /// A query of two full blocks, whole and ready for a row.
    private func receive(_ request: UInt64, in role: inout DecodeRole, priority: Priority = .normal) {
        let attempt = grant(request, in: &role, priority: priority)
        let open = KVOpen(epoch: epoch, attempt: attempt, modelHash: "m", geometry: Self.geometry, tokenCount: 8)
        _ = role.handle(.kv(peer, .open(open)), at: start)
        let range = LayerBlockRange(layer: 0, first: 0, count: 2)
        _ = role.handle(.blocksStored(peer, KVBlocks(epoch: epoch, attempt: attempt, tokenCount: 8, range: range)), at: start)
        let next = TokenEvent(attempt: attempt, index: 0, token: 5)
        _ = role.handle(.kv(peer, .commit(KVCommit(epoch: epoch, attempt: attempt, tokenCount: 8, next: next))), at: start)
        role.checkInvariants()
    }

    private func grant(_ request: UInt64, in role: inout DecodeRole, priority: Priority) -> AttemptID {
        let attempt = AttemptID(request: RequestID(request), ordinal: 1)
        let order = SequenceOrder(
            attempt: attempt, tokens: Array(repeating: 1, count: 8), promptCount: 8, sampling: .greedy,
            stop: StopConditions(maxTokens: 20), priority: priority)
        _ = role.handle(.message(.grant(Grant(sequence: order, budget: 7))), at: start)
        return attempt
    }

    /// One iteration of 10 ms from `time`; returns its end.
    private func iterate(_ role: inout DecodeRole, at time: Instant) -> Instant {
        let (iteration, _) = role.nextIteration(at: time), end = time + .milliseconds(10)
        let samples = (iteration?.rows ?? []).map { Sample(attempt: $0.attempt, token: .success(6)) }
        _ = role.handle(.iterationFinished(samples), at: end)
        role.checkInvariants()
        return end
    }

    @Test func theMoreRowsAreMissingTheLongerItWaits() throws {
        var waits: [Duration] = []
        for rows in 1...4 {
            var role = role(stretch: 4)
            for request in 1...rows { receive(UInt64(request), in: &role) }
            var time = iterate(&role, at: start), wait = Duration.zero
            for _ in 0..<8 {
                let end = role.lendingEnd(at: time, areOthersKeen: true) ?? time
                wait += end - time
                time = iterate(&role, at: end)
            }
            waits.append(wait)
        }
        #expect(waits == waits.sorted(by: >) && Set(waits).count == 4, "\(waits)")
        #expect(waits[3] == .zero, "a full batch")
        #expect(waits[0] > .milliseconds(60) && waits[0] < .milliseconds(8 * 30))
    }

    @Test func aBatchThatSomebodyFillsStartsAtOnce() throws {
        var role = role(stretch: 4)
        for request in 1...2 { receive(UInt64(request), in: &role) }
        var time = iterate(&role, at: start)
        while true {
            if let end = role.lendingEnd(at: time, areOthersKeen: true) {
                #expect(end > time)
                break
            }
            time = iterate(&role, at: time)
            try #require(time < start + .seconds(1))
        }
        role.noteLending(at: time)
        receive(4, in: &role)
        let later = time + .milliseconds(1)
        #expect(role.lendingEnd(at: later, areOthersKeen: true) == nil)
        _ = iterate(&role, at: later)
        #expect(role.counters.batch.lent == .milliseconds(2), "one millisecond of two rows")
    }

    @Test func nothingToWaitForIsNoWait() {
        var never = role(stretch: 1), empty = role(stretch: 4), alone = role(stretch: 4)
        for request in 1...2 { receive(UInt64(request), in: &never) }
        receive(1, in: &alone)
        var time = start
        for _ in 0..<10 {
            #expect(never.lendingEnd(at: time, areOthersKeen: true) == nil, "it is not allowed to")
            #expect(alone.lendingEnd(at: time, areOthersKeen: false) == nil, "nobody would use the cores")
            _ = iterate(&never, at: time)
            time = iterate(&alone, at: time)
            #expect(empty.lendingEnd(at: time, areOthersKeen: true) == nil, "it has no rows")
        }
    }

    @Test func whoIsNoLongerAskedForgetsBySteps() {
        var spacing = IterationSpacing(stretch: 4), now = start
        func step(keen: Bool) -> Duration {
            spacing.noteStart(at: now, time: .milliseconds(10), free: 7, of: 8, waiting: 0, target: nil)
            now = now + .milliseconds(10)
            let end = spacing.end(at: now, time: .milliseconds(10), areOthersKeen: keen, isLent: false) ?? now
            defer { now = end }
            return end - now
        }
        for _ in 0..<100 { _ = step(keen: true) }
        #expect(step(keen: true) == .milliseconds(30), "from start to start at most four times as long")
        #expect(spacing.excess == 3)
        for _ in 0..<100 { #expect(step(keen: false) == .zero) }
        #expect(spacing.excess == 0)
    }

    /// Nothing is gained by making a full batch wait, and a row comes free the sooner.
    @Test func aFullBatchForWhichSomebodyWaitsRunsOn() {
        var role = role(stretch: 8, rows: 2)
        receive(1, in: &role)
        var time = start
        for _ in 0..<8 {
            time = iterate(&role, at: role.lendingEnd(at: time, areOthersKeen: true) ?? time)
        }
        #expect(role.lendingEnd(at: time, areOthersKeen: true) != nil, "a row is missing")
        for request: UInt64 in 2...3 { receive(request, in: &role) }
        for _ in 0..<5 {
            #expect(role.lendingEnd(at: time, areOthersKeen: true) == nil)
            time = iterate(&role, at: time)
        }
    }

    @Test func whileQueriesWaitForARowTheSpacingIsForgotten() {
        var spacing = IterationSpacing(stretch: 8), now = start
        func step(free: Int, waiting: Int) -> Duration {
            spacing.noteStart(at: now, time: .milliseconds(10), free: free, of: 8, waiting: waiting, target: nil)
            now = now + .milliseconds(10)
            let end = spacing.end(at: now, time: .milliseconds(10), areOthersKeen: true, isLent: false) ?? now
            defer { now = end }
            return end - now
        }
        for _ in 0..<100 { _ = step(free: 4, waiting: 0) }
        #expect(spacing.excess == 3)
        for _ in 0..<50 { #expect(step(free: 0, waiting: 2) == .zero) }
        #expect(spacing.excess < 0.02)
    }

    /// A quarter of the time from one newcomer to the next is a short wait beside that for a prompt computed inline.
    @Test func theSlowerQueriesComeTheLongerRowsMayWait() {
        func longest(every interval: Duration?, stretch: Double) -> Duration {
            var spacing = IterationSpacing(stretch: stretch), now = start, newcomer = start, longest = Duration.zero
            for _ in 0..<400 {
                if let interval, now - newcomer >= interval {
                    spacing.noteNewcomers(1, at: now)
                    newcomer = now
                }
                spacing.noteStart(at: now, time: .milliseconds(10), free: 6, of: 8, waiting: 0, target: nil)
                let end = spacing.end(at: now + .milliseconds(10), time: .milliseconds(10), areOthersKeen: true, isLent: false)
                longest = max(longest, (end ?? now) - now)
                now = end ?? now + .milliseconds(10)
            }
            return longest
        }
        #expect(longest(every: nil, stretch: 8) == .milliseconds(40))
        #expect(longest(every: .milliseconds(100), stretch: 8) == .milliseconds(40))
        let between = longest(every: .milliseconds(230), stretch: 8)
        #expect(between > .milliseconds(40) && between < .milliseconds(80))
        #expect(longest(every: .seconds(2), stretch: 8) == .milliseconds(80))
        #expect(longest(every: .seconds(2), stretch: 2) == .milliseconds(20))
    }

    /// A few rows short: one longer piece now and then, rather than one that is not worth the way after each iteration.
    @Test func whatIsTooShortToLendAddsUp() {
        var spacing = IterationSpacing(stretch: 4), now = start, pieces: [Duration] = [], steps = 0
        for _ in 0..<40 {
            spacing.noteStart(at: now, time: .milliseconds(10), free: steps % 2, of: 8, waiting: 0, target: nil)
            steps += 1
            now = now + .milliseconds(10)
            if let end = spacing.end(at: now, time: .milliseconds(10), areOthersKeen: true, isLent: false) {
                pieces.append(end - now)
                now = end
            }
        }
        #expect(!pieces.isEmpty && pieces.count < 20)
        #expect(pieces.allSatisfy { $0 >= .milliseconds(7.5) && $0 < .milliseconds(12) }, "\(pieces)")
    }

    @Test func theTargetOfTheIterationTimeHolds() {
        var role = role(stretch: 100, target: .milliseconds(25))
        receive(1, in: &role)
        var time = start, last: Instant?
        for _ in 0..<10 {
            let end = role.lendingEnd(at: time, areOthersKeen: true) ?? time
            if let last { #expect(end - last <= .milliseconds(25)) }
            last = end
            time = iterate(&role, at: end)
        }
    }

    @Test func whoGivesWayOrIsToComeBackIsNotKeptWaiting() {
        var role = role(stretch: 4)
        for request in 1...2 { receive(UInt64(request), in: &role) }
        var end = start
        for _ in 0..<4 { end = iterate(&role, at: end) }
        for _ in 0..<4 where role.lendingEnd(at: end, areOthersKeen: true) == nil { end = iterate(&role, at: end) }
        #expect(role.lendingEnd(at: end, areOthersKeen: true) != nil)
        let urgent = AttemptID(request: RequestID(7), ordinal: 1)
        let order = SequenceOrder(
            attempt: urgent, tokens: Array(repeating: 1, count: 8), promptCount: 8, sampling: .greedy,
            stop: StopConditions(maxTokens: 20), priority: .high)
        let victim = AttemptID(request: RequestID(2), ordinal: 1)
        _ = role.handle(.message(.grant(Grant(sequence: order, budget: 7))), at: end)
        _ = role.handle(.message(.preempt(victim)), at: end)
        #expect(role.lendingEnd(at: end, areOthersKeen: true) == nil)
    }

    // MARK: Rows of the lowest priority

    @Test func aBatchOfTheLowestPriorityLeavesItsCoresToUrgentPrompts() {
        var role = role(stretch: 8, rows: 2, backgroundShare: 0.1)
        for request: UInt64 in 1...2 { receive(request, in: &role, priority: .low) }
        var time = iterate(&role, at: start)
        for _ in 0..<4 {
            #expect(role.lendingEnd(at: time, areOthersKeen: true) == nil, "full, and nobody more urgent is on the way")
            time = iterate(&role, at: time)
        }
        _ = grant(3, in: &role, priority: .low)
        #expect(role.lendingEnd(at: time, areOthersKeen: true) == nil, "no more urgent than they are")
        _ = grant(4, in: &role, priority: .normal)
        #expect(role.lendingEnd(at: time, areOthersKeen: false) == nil, "its prompt is computed elsewhere")
        let end = role.lendingEnd(at: time, areOthersKeen: true)
        #expect(end == time + .milliseconds(70))
        #expect(role.lendingEnd(at: time + .milliseconds(70), areOthersKeen: true) == nil, "nobody waits for ever")
    }

    @Test func theBatchGoesOnForARowThatIsAsUrgentAsThePrompt() {
        var role = role(stretch: 8, rows: 2, backgroundShare: 0.1)
        receive(1, in: &role, priority: .low)
        receive(2, in: &role)
        _ = grant(3, in: &role, priority: .normal)
        let time = iterate(&role, at: start)
        #expect(role.lendingEnd(at: time, areOthersKeen: true) == nil)
    }

    /// Iterations of 10 ms and 5 ms for each row: three rows would make every second token of the other come twice as late.
    @Test(arguments: [0.1, .infinity]) func rowsOfTheLowestPrioritySitOutMostIterationsOfAnother(share: Double) {
        var role = role(stretch: 1, rows: 4, backgroundShare: share), time = start, sizes: [Int] = []
        func iterate() {
            let rows = role.nextIteration(at: time).iteration?.rows ?? []
            time = time + .milliseconds(10 + 5 * rows.count)
            _ = role.handle(.iterationFinished(rows.map { Sample(attempt: $0.attempt, token: .success(6)) }), at: time)
            role.checkInvariants()
            sizes.append(rows.count)
        }
        for request: UInt64 in 1...3 { receive(request, in: &role, priority: .low) }
        for _ in 0..<3 { iterate() }
        #expect(sizes == [3, 3, 3], "among themselves they all step")
        receive(4, in: &role)
        for _ in 0..<15 { iterate() }
        let beside = sizes.dropFirst(3), missing = beside.reduce(0) { $0 + 4 - $1 }
        #expect(beside.allSatisfy { $0 == 1 || $0 == 4 } && role.counters.batch.yields == UInt64(missing))
        #expect(share == .infinity ? missing == 0 : beside.filter { $0 == 1 }.count >= 11, "\(sizes)")
    }
}
