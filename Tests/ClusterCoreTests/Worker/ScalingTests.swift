@testable import ClusterCore
import Generation
import Testing

/// The batch of a decode worker that is short of blocks, of memory or of time.
@Suite struct ScalingTests {
    private static let geometry = KVGeometry(
        layerCount: 1, blockSize: 4, keyValueHeads: 1, headDimension: 1, bytesPerElement: 4)
    private let epoch = ClusterEpoch(9)
    private let peer = PeerID(3)
    private let now = Instant(nanoseconds: 0)
    private let short = BatchScale.Memory(available: 10, total: 1_000)
    private let plenty = BatchScale.Memory(available: 900, total: 1_000)

    private func role(
        blockCount: Int = 32, parking: ParkingLot.Limits = .init(memory: 1 << 20), target: Duration? = nil
    ) -> DecodeRole {
        DecodeRole(.init(
            clusterEpoch: epoch, workerEpoch: WorkerEpoch(1), modelHash: "m", geometry: Self.geometry,
            blockCount: blockCount, maxSequences: 4, maxModelLength: 40, parking: parking,
            scaling: .init(policy: .threshold, target: target)))
    }

    private func attempt(_ request: UInt64) -> AttemptID { AttemptID(request: RequestID(request), ordinal: 1) }

    /// A query of two full blocks, whole and ready for a row.
    private func receive(_ request: UInt64, budget: Int = 2, in role: inout DecodeRole) {
        let attempt = attempt(request)
        let order = SequenceOrder(
            attempt: attempt, tokens: Array(repeating: 1, count: 8), promptCount: 8, sampling: .greedy,
            stop: StopConditions(maxTokens: 20), priority: .normal)
        _ = role.handle(.message(.grant(Grant(sequence: order, budget: budget))), at: now)
        let open = KVOpen(epoch: epoch, attempt: attempt, modelHash: "m", geometry: Self.geometry, tokenCount: 8)
        _ = role.handle(.kv(peer, .open(open)), at: now)
        let range = LayerBlockRange(layer: 0, first: 0, count: 2)
        let blocks = KVBlocks(epoch: epoch, attempt: attempt, tokenCount: 8, range: range)
        _ = role.handle(.blocksStored(peer, blocks), at: now)
        let next = TokenEvent(attempt: attempt, index: 0, token: 5)
        let commit = KVCommit(epoch: epoch, attempt: attempt, tokenCount: 8, next: next)
        _ = role.handle(.kv(peer, .commit(commit)), at: now)
        role.checkInvariants()
    }

    /// One iteration; what was to be parked by then is stored when it ends. Returns whose rows, and the boundary.
    @discardableResult
    private func iterate(
        _ role: inout DecodeRole, time: Duration = .milliseconds(1)
    ) -> (rows: [AttemptID], boundary: [DecodeRole.Action]) {
        let (iteration, boundary) = role.nextIteration(at: now)
        role.checkInvariants()
        if let rows = iteration?.rows {
            let samples = rows.map { Sample(attempt: $0.attempt, token: .success(6)) }
            _ = role.handle(.iterationFinished(samples), at: now + time)
        }
        for case .park(let kv) in boundary { _ = role.handle(.parkingFinished(kv.id, true), at: now) }
        role.checkInvariants()
        return (iteration?.rows.map(\.attempt) ?? [], boundary)
    }

    private func parked(in actions: [DecodeRole.Action]) -> [ParkedKV] {
        actions.compactMap { if case .park(let kv) = $0 { kv } else { nil } }
    }

    private func released(in actions: [DecodeRole.Action]) -> [BlockID] {
        actions.flatMap { action -> [BlockID] in
            if case .releaseMemory(let blocks) = action { blocks } else { [] }
        }
    }

    @Test func theLowestRowIsParkedBeforeThePoolRunsDry() {
        // Four rows of three blocks fill the pool; after four tokens each of them needs a block more.
        var role = role(blockCount: 12)
        for request in 1...4 { receive(UInt64(request), in: &role) }
        var gone: [AttemptID] = []
        for _ in 0..<12 {
            let (rows, boundary) = iterate(&role)
            gone += parked(in: boundary).map(\.attempt)
            #expect(rows.count == 4 - gone.count)
        }
        #expect(gone == [attempt(4), attempt(3)] && role.counters.heldBack == 0 && role.counters.evictions == 0)
    }

    @Test func reservedGrowthNeedsNobodyToGiveWay() {
        // Seven blocks each, all reserved.
        var role = role(blockCount: 28)
        for request in 1...4 { receive(UInt64(request), budget: 7, in: &role) }
        for _ in 0..<19 { #expect(iterate(&role).rows.count == 4) }
        #expect(role.counters.parks == 0 && role.load.rows == 0)
    }

    @Test func aSlowIterationAdmitsNobodyElseAndParksNobody() {
        var role = role(target: .milliseconds(10))
        for request in 1...2 { receive(UInt64(request), in: &role) }
        for _ in 0..<3 { iterate(&role, time: .milliseconds(12)) }
        receive(3, in: &role)
        #expect(iterate(&role, time: .milliseconds(12)).rows == [attempt(1), attempt(2)])
        #expect(role.load.rowLimit == 2 && role.load.waiting == 1 && role.counters.parks == 0)
    }

    @Test func shortOfMemoryThePoolTakesNoMoreAndGivesBackWhatIsFree() {
        var role = role(parking: .init(memory: 1 << 20, file: 1 << 20))
        for request in 1...3 { receive(UInt64(request), in: &role) }
        iterate(&role)
        let touched = role.pool.blockCount - role.pool.freshCount
        _ = role.handle(.memory(short), at: now)
        #expect(role.load.isMemoryShort)
        var gone: [ParkedKV] = [], given = 0
        for _ in 0..<8 {
            given += released(in: role.handle(.memory(short), at: now)).count
            gone += parked(in: iterate(&role).boundary)
        }
        #expect(gone.map(\.attempt) == [attempt(3), attempt(2)] && gone.allSatisfy { $0.tier == .file })
        #expect(role.load.rows == 1 && role.load.rowLimit == 1, "the first in rank goes on")
        #expect(given > 0 && role.pool.blockCount - role.pool.freshCount < touched)
    }

    @Test func aSequenceAloneGoesOnInNewMemory() {
        var role = role()
        receive(1, in: &role)
        _ = role.handle(.memory(short), at: now)
        for _ in 0..<19 { #expect(iterate(&role).rows == [attempt(1)]) }
        #expect(role.load.rows == 0 && role.counters.evictions == 0)
    }

    @Test func grantsWaitUntilThereIsMemoryAgain() {
        var role = role()
        receive(1, in: &role)
        iterate(&role)
        _ = role.handle(.memory(short), at: now)
        receive(2, in: &role)
        #expect(iterate(&role).rows == [attempt(1)] && role.load.waiting == 1)
        _ = role.handle(.memory(plenty), at: now)
        receive(2, in: &role)
        #expect(!role.load.isMemoryShort && role.destination(for: KVBlocks(
            epoch: epoch, attempt: attempt(2), tokenCount: 8, range: LayerBlockRange(layer: 0, first: 0, count: 2)))
            == .failure(.duplicate), "granted at once, and whole by now")
    }

    @Test func withoutFilesNobodyIsParkedForMemory() {
        var role = role()
        for request in 1...2 { receive(UInt64(request), in: &role) }
        iterate(&role)
        _ = role.handle(.memory(short), at: now)
        #expect(parked(in: iterate(&role).boundary).isEmpty)
    }

    @Test func aParkedQueryComesBackWhenTheBatchHasRoom() throws {
        var role = role(blockCount: 12)
        for request in 1...4 { receive(UInt64(request), in: &role) }
        var kv: ParkedKV?
        while kv == nil { kv = parked(in: iterate(&role).boundary).first }
        let id = try #require(kv).id
        let early = role.handle(.message(.resume(attempt(4), budget: 4)), at: now)
        #expect(early.isEmpty, "it would have to go again at once")
        var restored = false
        for _ in 0..<40 where !restored {
            restored = iterate(&role).boundary.contains { if case .restore(let kv) = $0 { kv.id == id } else { false } }
        }
        #expect(restored)
    }
}
