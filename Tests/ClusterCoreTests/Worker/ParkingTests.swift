@testable import ClusterCore
import Generation
import Testing

/// Queries that give way, go into the store, and come back here or elsewhere.
@Suite struct ParkingTests {
    private static let geometry = KVGeometry(
        layerCount: 2, blockSize: 4, keyValueHeads: 1, headDimension: 1, bytesPerElement: 4)
    private let epoch = ClusterEpoch(9)
    private let peer = PeerID(3)
    private let now = Instant(nanoseconds: 0)
    private let elsewhere = KVDestination(worker: WorkerID("d2"), endpoint: "at-d2")

    private func role(
        blockCount: Int = 16, rows: Int = 2, parking: ParkingLot.Limits = .init(memory: 1 << 20)
    ) -> DecodeRole {
        DecodeRole(.init(
            clusterEpoch: epoch, workerEpoch: WorkerEpoch(1), modelHash: "m", geometry: Self.geometry,
            blockCount: blockCount, maxSequences: rows, maxModelLength: 40, parking: parking))
    }

    private func attempt(_ request: UInt64, _ ordinal: UInt32 = 1) -> AttemptID {
        AttemptID(request: RequestID(request), ordinal: ordinal)
    }

    /// A query of two full blocks, whole and ready for a row. Its first token is 5.
    private func receive(_ request: UInt64, _ priority: Priority = .normal, in role: inout DecodeRole) -> [DecodeRole.Action] {
        let attempt = attempt(request)
        let order = SequenceOrder(
            attempt: attempt, tokens: Array(repeating: 1, count: 8), promptCount: 8, sampling: .greedy,
            stop: StopConditions(maxTokens: 20), priority: priority)
        var actions = role.handle(.message(.grant(Grant(sequence: order, budget: 2))), at: now)
        let open = KVOpen(epoch: epoch, attempt: attempt, modelHash: "m", geometry: Self.geometry, tokenCount: 8)
        actions += role.handle(.kv(peer, .open(open)), at: now)
        for layer in 0..<2 {
            let range = LayerBlockRange(layer: layer, first: 0, count: 2)
            let blocks = KVBlocks(epoch: epoch, attempt: attempt, tokenCount: 8, range: range)
            actions += role.handle(.blocksStored(peer, blocks), at: now)
        }
        let next = TokenEvent(attempt: attempt, index: 0, token: 5)
        let commit = KVCommit(epoch: epoch, attempt: attempt, tokenCount: 8, next: next)
        actions += role.handle(.kv(peer, .commit(commit)), at: now)
        role.checkInvariants()
        return actions
    }

    /// One iteration in which every row gets token 6. Returns whose rows, and what the boundary before it brought.
    @discardableResult
    private func iterate(_ role: inout DecodeRole) -> (rows: [AttemptID], boundary: [DecodeRole.Action]) {
        let (iteration, boundary) = role.nextIteration(at: now)
        role.checkInvariants()
        guard let rows = iteration?.rows else { return ([], boundary) }
        let samples = rows.map { Sample(attempt: $0.attempt, token: .success(6)) }
        _ = role.handle(.iterationFinished(samples), at: now)
        role.checkInvariants()
        return (rows.map(\.attempt), boundary)
    }

    private func parked(in actions: [DecodeRole.Action]) -> [ParkedKV] {
        actions.compactMap { if case .park(let kv) = $0 { kv } else { nil } }
    }

    /// A low and a normal query fill both rows; then an urgent one has come.
    private func crowded(parking: ParkingLot.Limits = .init(memory: 1 << 20)) -> DecodeRole {
        var role = role(parking: parking)
        for (request, priority) in [(1, Priority.low), (2, .normal)] as [(UInt64, Priority)] {
            _ = receive(request, priority, in: &role)
        }
        iterate(&role)
        _ = receive(3, .high, in: &role)
        return role
    }

    @Test func anUrgentQueryTakesTheRowOfTheLeastValuableOneAtOnce() throws {
        var role = crowded()
        let (rows, boundary) = iterate(&role)
        #expect(rows == [attempt(2), attempt(3)])
        let kv = try #require(parked(in: boundary).first)
        // Two blocks of prompt and one token that was decoded.
        #expect(kv.attempt == attempt(1) && kv.tokenCount == 9 && kv.blocks.count == 3 && kv.tier == .memory)
        #expect(boundary.contains(.report(.embedded(attempt(3), row: 1))))
        #expect(role.load.referencedBlocks == 9, "blocks stay until the store has read them")
        #expect(role.handle(.parkingFinished(kv.id, true), at: now) == [.report(.parked(attempt(1)))])
        #expect(role.load.referencedBlocks == 6 && role.load.parking.queries == 1)
        role.checkInvariants()
    }

    @Test func theStoresTimeIsCharged() {
        var role = crowded()
        iterate(&role)
        role.noteParking(took: .milliseconds(3))
        role.noteRestoring(took: .milliseconds(2))
        #expect(role.load.parking.parkTime == .milliseconds(3) && role.load.parking.resumeTime == .milliseconds(2))
    }

    @Test func equalsWaitForEachOther() {
        var role = role()
        for request in 1...3 { _ = receive(UInt64(request), in: &role) }
        #expect(iterate(&role).rows == [attempt(1), attempt(2)])
        #expect(parked(in: iterate(&role).boundary).isEmpty)
    }

    @Test func aResumedQueryGoesOnWithTheTokenThatItWouldHaveRun() throws {
        var role = crowded()
        let kv = try #require(parked(in: iterate(&role).boundary).first)
        _ = role.handle(.parkingFinished(kv.id, true), at: now)
        _ = role.handle(.message(.cancel(attempt(3))), at: now)
        let actions = role.handle(.message(.resume(attempt(1), budget: 4)), at: now)
        guard case .restore(let restored)? = actions.first else { Issue.record("\(actions)"); return }
        #expect(restored.id == kv.id && restored.tokenCount == 9 && restored.blocks.count == 3)
        #expect(iterate(&role).rows == [attempt(2)], "not before the store has filled its blocks")
        #expect(role.handle(.restoringFinished(kv.id, true), at: now) == [.discard(kv.id)])
        let iteration = try #require(role.nextIteration(at: now).iteration)
        let row = try #require(iteration.rows.first { $0.attempt == attempt(1) })
        #expect(row.input == 6 && row.position == 9 && row.blockTable.prefix(3) == restored.blocks[...])
        #expect(role.counters.resumes == 1 && role.load.parking.queries == 0)
        role.checkInvariants()
    }

    @Test(arguments: [ParkingLot.Limits.none, .init(memory: 64)])
    func withoutRoomTheQueryIsGivenUp(limits: ParkingLot.Limits) {
        var role = crowded(parking: limits)
        let (rows, boundary) = iterate(&role)
        #expect(rows == [attempt(2), attempt(3)] && boundary.contains(.report(.decodeFailed(attempt(1), .evicted))))
        #expect(role.load.referencedBlocks == 6 && role.counters.evictions == 1)
    }

    @Test func whatTheStoreCannotKeepIsGivenUp() throws {
        var role = crowded(parking: .init(memory: 0, file: 1 << 20))
        let kv = try #require(parked(in: iterate(&role).boundary).first)
        #expect(kv.tier == .file)
        let actions = role.handle(.parkingFinished(kv.id, false), at: now)
        #expect(actions.contains(.report(.decodeFailed(attempt(1), .evicted))) && role.load.parking.fileBytes == 0)
        role.checkInvariants()
    }

    @Test func damagedKVIsNeverDecoded() throws {
        var role = crowded()
        let kv = try #require(parked(in: iterate(&role).boundary).first)
        _ = role.handle(.parkingFinished(kv.id, true), at: now)
        _ = role.handle(.message(.resume(attempt(1), budget: 4)), at: now)
        let actions = role.handle(.restoringFinished(kv.id, false), at: now)
        #expect(actions.contains(.report(.decodeFailed(attempt(1), .transferLost))))
        #expect(role.load.parking.queries == 0 && role.load.referencedBlocks == 6)
        role.checkInvariants()
    }

    @Test func cancelledWhileItIsStoredItGoesWhenThatIsOver() throws {
        var role = crowded()
        let kv = try #require(parked(in: iterate(&role).boundary).first)
        #expect(role.handle(.message(.cancel(attempt(1))), at: now).isEmpty && !role.isQuiescent)
        role.checkInvariants()
        #expect(role.handle(.parkingFinished(kv.id, true), at: now) == [.discard(kv.id)])
        #expect(role.load.referencedBlocks == 6 && role.load.parking.memoryBytes == 0 && role.isQuiescent)
    }

    @Test func aRowThatFindsNoBlockWaitsForTheStoreAndLosesNothing() throws {
        // Four rows of three blocks fill the pool; after four tokens each of them needs a block more.
        var role = role(blockCount: 12, rows: 4)
        for request in 1...4 { _ = receive(UInt64(request), in: &role) }
        for _ in 1...4 { #expect(iterate(&role).rows.count == 4) }
        let (rows, boundary) = iterate(&role)
        let kv = try #require(parked(in: boundary).first)
        #expect(rows.isEmpty && kv.attempt == attempt(4) && role.load.rows == 3)
        _ = role.handle(.parkingFinished(kv.id, true), at: now)
        #expect(iterate(&role).rows == [attempt(1), attempt(2), attempt(3)])
    }

    @Test func aParkedQueryTravelsLikeAPrefilledOne() throws {
        var source = crowded()
        let kv = try #require(parked(in: iterate(&source).boundary).first)
        _ = source.handle(.parkingFinished(kv.id, true), at: now)
        #expect(source.handle(.message(.retarget(from: attempt(1), to: attempt(1, 2), elsewhere)), at: now) == [.load(kv.id)])
        let opened = source.handle(.loadingFinished(kv.id, true), at: now)
        guard case .send(.open(let open), elsewhere)? = opened.first else { Issue.record("\(opened)"); return }
        #expect(open.attempt == attempt(1, 2) && open.tokenCount == 9)

        var target = role()
        let order = SequenceOrder(
            attempt: attempt(1, 2), tokens: Array(repeating: 1, count: 8) + [5], promptCount: 8, sampling: .greedy,
            stop: StopConditions(maxTokens: 20), priority: .low)
        _ = target.handle(.message(.grant(Grant(sequence: order, budget: 4))), at: now)
        var replies = target.handle(.kv(peer, .open(open)), at: now)
        var sent = 0
        while let index = replies.firstIndex(where: { if case .reply = $0 { true } else { false } }),
            case .reply(_, let reply) = replies.remove(at: index) {
            for action in source.handle(.reply(reply), at: now) {
                switch action {
                case .sendParked(let blocks, kv.id, elsewhere):
                    sent += blocks.range.count
                    replies += target.handle(.blocksStored(peer, blocks), at: now)
                case .send(let message, elsewhere): replies += target.handle(.kv(peer, message), at: now)
                case .report(.transferFinished(attempt(1, 2))), .discard(kv.id): break
                default: Issue.record("\(action)")
                }
            }
        }
        #expect(sent == 6 && source.load.parking.queries == 0)
        let row = try #require(target.nextIteration(at: now).iteration?.rows.first)
        #expect(row.attempt == attempt(1, 2) && row.input == 6 && row.position == 9)
        source.checkInvariants()
        target.checkInvariants()
    }

    @Test func aRefusedMigrationKeepsWhatIsParked() throws {
        var role = crowded()
        let kv = try #require(parked(in: iterate(&role).boundary).first)
        _ = role.handle(.parkingFinished(kv.id, true), at: now)
        _ = role.handle(.message(.retarget(from: attempt(1), to: attempt(1, 2), elsewhere)), at: now)
        _ = role.handle(.loadingFinished(kv.id, true), at: now)
        #expect(role.handle(.reply(.refused(epoch, attempt(1, 2), "no room")), at: now).isEmpty)
        let actions = role.handle(.message(.resume(attempt(1, 2), budget: 4)), at: now)
        #expect(actions.contains { if case .restore = $0 { true } else { false } }, "\(actions)")
    }

    @Test func whoIsNotParkedCannotBeResumed() {
        var role = role()
        let actions = role.handle(.message(.resume(attempt(8), budget: 1)), at: now)
        guard case .report(.decodeFailed(attempt(8), .refused))? = actions.first else { Issue.record("\(actions)"); return }
    }

    @Test func preemptionTakesARowOutAtTheBoundary() throws {
        var role = role()
        _ = receive(1, in: &role)
        iterate(&role)
        _ = role.handle(.message(.preempt(attempt(1))), at: now)
        let (rows, boundary) = iterate(&role)
        #expect(rows.isEmpty && parked(in: boundary).map(\.attempt) == [attempt(1)])
    }
}

@Suite struct ParkingLotTests {
    @Test func fillsMemoryThenFilesThenRefuses() {
        var lot = ParkingLot(.init(memory: 100, file: 50))
        #expect(lot.take(60) == .memory && lot.take(60) == nil && lot.take(50) == .file && lot.take(40) == .memory)
        #expect(lot.take(1) == nil)
        lot.giveBack(60, .memory)
        #expect(lot.take(60) == .memory && lot.used == .init(memory: 100, file: 50))
    }
}

@Suite struct RankTests {
    private func rank(_ precedence: Int64, _ priority: Priority, _ request: UInt64) -> Rank {
        Rank(precedence: precedence, priority: priority, request: RequestID(request))
    }

    @Test func whoHasWaitedLongEnoughComesFirst() {
        #expect(rank(10, .low, 5) < rank(11, .high, 1))
        #expect(rank(10, .high, 5) < rank(10, .low, 1))
        #expect(rank(10, .low, 1) < rank(10, .low, 5))
    }

    @Test func onlyALowerPriorityGivesItsRowAway() {
        #expect(rank(99, .normal, 9).mayDisplace(rank(1, .low, 1)))
        #expect(!rank(1, .normal, 1).mayDisplace(rank(99, .normal, 9)))
    }
}
