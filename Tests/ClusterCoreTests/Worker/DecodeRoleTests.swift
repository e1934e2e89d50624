import ClusterCore
import Generation
import Testing

@Suite struct DecodeRoleTests {
    private static let epoch = ClusterEpoch(9)
    private static let geometry = KVGeometry(
        layerCount: 2, blockSize: 4, keyValueHeads: 1, headDimension: 1, bytesPerElement: 4)
    private let epoch = Self.epoch
    private let peer = PeerID(3)

    private func role(blockCount: Int = 16, maxSequences: Int = 4, creditWindow: Int = 8) -> DecodeRole {
        DecodeRole(.init(
            clusterEpoch: epoch, workerEpoch: WorkerEpoch(1), modelHash: "m", geometry: Self.geometry,
            blockCount: blockCount, maxSequences: maxSequences, maxModelLength: 40, creditWindow: creditWindow))
    }

    private func time(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    private func attempt(_ request: UInt64, _ ordinal: UInt32 = 1) -> AttemptID {
        AttemptID(request: RequestID(request), ordinal: ordinal)
    }

    private func grant(
        _ attempt: AttemptID, tokens: Int = 8, maxTokens: Int32 = 9, budget: Int = 0
    ) -> CoordinatorMessage {
        .grant(Grant(
            sequence: SequenceOrder(
                attempt: attempt, tokens: Array(repeating: 1, count: tokens), promptCount: tokens, sampling: .greedy,
                stop: StopConditions(maxTokens: maxTokens), priority: .normal),
            budget: budget))
    }

    private func open(_ attempt: AttemptID, tokens: Int = 8, model: String = "m", sent: Int = 0) -> KVMessage {
        .open(KVOpen(
            epoch: epoch, attempt: attempt, modelHash: model, geometry: Self.geometry, tokenCount: tokens, sent: sent))
    }

    private func blocks(_ attempt: AttemptID, layer: Int, first: Int = 0, count: Int = 2, tokens: Int = 8) -> KVBlocks {
        KVBlocks(
            epoch: epoch, attempt: attempt, tokenCount: tokens,
            range: LayerBlockRange(layer: layer, first: first, count: count))
    }

    private func commit(_ attempt: AttemptID, tokens: Int = 8) -> KVMessage {
        .commit(KVCommit(
            epoch: epoch, attempt: attempt, tokenCount: tokens, next: TokenEvent(attempt: attempt, index: 0, token: 5)))
    }

    /// Grants, receives and commits a query of two blocks.
    private func embed(_ attempt: AttemptID, in role: inout DecodeRole, maxTokens: Int32 = 9) {
        _ = role.handle(.message(grant(attempt, maxTokens: maxTokens)), at: time(0))
        _ = role.handle(.kv(peer, open(attempt)), at: time(0))
        for layer in 0..<2 { _ = role.handle(.blocksStored(peer, blocks(attempt, layer: layer)), at: time(0)) }
        #expect(role.handle(.kv(peer, commit(attempt)), at: time(0)) == [
            .reply(peer, .complete(epoch, attempt)), .report(.kvWhole(attempt)),
        ])
    }

    @Test func anOpeningMayOvertakeItsGrant() {
        var role = role()
        #expect(role.handle(.kv(peer, open(attempt(1))), at: time(0)).isEmpty)
        #expect(role.destination(for: blocks(attempt(1), layer: 0)) == .failure(.unknown))
        #expect(role.handle(.message(grant(attempt(1))), at: time(1)) == [
            .reply(peer, .credit(epoch, attempt(1), limit: 8))
        ])
        #expect(role.destination(for: blocks(attempt(1), layer: 0)) == .success([BlockID(0), BlockID(1)]))
    }

    @Test func whatContradictsTheGrantIsRefusedAndHarmless() {
        var role = role()
        _ = role.handle(.message(grant(attempt(1))), at: time(0))
        for wrong in [
            open(attempt(1), tokens: 9), open(attempt(1), model: "x"), open(attempt(1), sent: -1), commit(attempt(1)),
        ] {
            let actions = role.handle(.kv(peer, wrong), at: time(1))
            guard case .reply(peer, .refused) = actions.first else {
                Issue.record("\(wrong) → \(actions)")
                continue
            }
        }
        _ = role.handle(.kv(peer, open(attempt(1))), at: time(2))
        for (layer, first, count) in [(2, 0, 1), (-1, 0, 1), (0, 1, 2), (0, Int.max, Int.max), (0, 0, 0), (0, -1, 2)] {
            let wrong = blocks(attempt(1), layer: layer, first: first, count: count)
            guard case .failure(.mismatch) = role.destination(for: wrong) else {
                Issue.record("\(wrong)")
                continue
            }
            // A shell that asks nobody is not obeyed either.
            #expect(role.handle(.blocksStored(peer, wrong), at: time(2)).isEmpty)
        }
        var zombie = blocks(attempt(1), layer: 0)
        zombie.epoch = ClusterEpoch(8)
        #expect(role.destination(for: zombie) == .failure(.epoch(ClusterEpoch(8))))
        #expect(role.counters.refused == 10 && role.counters.layerBlocks == 0)
        role.checkInvariants()
    }

    @Test func holesAreAskedForTwiceAndThenTheTransferIsLost() {
        var role = role()
        _ = role.handle(.message(grant(attempt(1))), at: time(0))
        _ = role.handle(.kv(peer, open(attempt(1))), at: time(0))
        _ = role.handle(.blocksStored(peer, blocks(attempt(1), layer: 0, first: 1, count: 1)), at: time(0))
        let missing = KVReply.missing(epoch, attempt(1), [
            LayerBlockRange(layer: 0, first: 0, count: 1), LayerBlockRange(layer: 1, first: 0, count: 2),
        ])
        #expect(role.handle(.kv(peer, commit(attempt(1))), at: time(1)).first == .reply(peer, missing))
        // The question got lost: not another try.
        for _ in 0..<5 {
            #expect(role.handle(.kv(peer, commit(attempt(1))), at: time(2)).first == .reply(peer, missing))
        }
        _ = role.handle(.blocksCorrupt(peer, blocks(attempt(1), layer: 1)), at: time(3))
        #expect(role.handle(.kv(peer, commit(attempt(1))), at: time(3)).first == .reply(peer, missing))
        _ = role.handle(.blocksCorrupt(peer, blocks(attempt(1), layer: 1)), at: time(4))
        let lost = role.handle(.kv(peer, commit(attempt(1))), at: time(4))
        #expect(lost.first == .report(.decodeFailed(attempt(1), .transferLost)))
        #expect(role.counters.corrupt == 2 && role.load.referencedBlocks == 0)
        role.checkInvariants()
    }

    @Test func damageTakesBackWhatItMayHaveOverwritten() {
        var role = role()
        _ = role.handle(.message(grant(attempt(1))), at: time(0))
        _ = role.handle(.kv(peer, open(attempt(1))), at: time(0))
        _ = role.handle(.blocksStored(peer, blocks(attempt(1), layer: 0, first: 0, count: 1)), at: time(0))
        #expect(role.destination(for: blocks(attempt(1), layer: 0, first: 0, count: 1)) == .failure(.duplicate))
        _ = role.handle(.blocksCorrupt(peer, blocks(attempt(1), layer: 0)), at: time(0))
        #expect(role.destination(for: blocks(attempt(1), layer: 0, first: 0, count: 1)) == .success([BlockID(0)]))
        role.checkInvariants()
    }

    @Test func aCommitThatOvertookBlocksIsRemembered() {
        var role = role()
        _ = role.handle(.message(grant(attempt(1))), at: time(0))
        _ = role.handle(.kv(peer, open(attempt(1))), at: time(0))
        _ = role.handle(.kv(peer, commit(attempt(1))), at: time(0))
        _ = role.handle(.blocksStored(peer, blocks(attempt(1), layer: 1)), at: time(1))
        let last = role.handle(.blocksStored(peer, blocks(attempt(1), layer: 0)), at: time(1))
        #expect(last.contains(.report(.kvWhole(attempt(1)))))
    }

    @Test func aCommitIsAcknowledgedAgainWhateverHappenedSince() {
        var role = role()
        embed(attempt(1), in: &role, maxTokens: 2)
        let again: [DecodeRole.Action] = [.reply(peer, .complete(epoch, attempt(1)))]
        #expect(role.handle(.kv(peer, commit(attempt(1))), at: time(1)) == again)
        #expect(role.nextIteration(at: time(1)).iteration?.rows.count == 1)
        #expect(role.handle(.kv(peer, commit(attempt(1))), at: time(2)) == again)
        #expect(role.destination(for: blocks(attempt(1), layer: 0)) == .failure(.duplicate))
        let end = role.handle(.iterationFinished([Sample(attempt: attempt(1), token: .success(6))]), at: time(3))
        #expect(end == [
            .report(.tokens([TokenEvent(attempt: attempt(1), index: 1, token: 6)])), .report(.left(attempt(1), row: 0)),
        ])
        #expect(role.handle(.kv(peer, commit(attempt(1))), at: time(4)) == again)
        #expect(role.load.referencedBlocks == 0)
    }

    @Test func whatIsOverOrOlderIsRefused() {
        var role = role()
        _ = role.handle(.message(grant(attempt(1, 2))), at: time(0))
        let refusal = DecodeRole.Action.reply(peer, .refused(epoch, attempt(1), "the attempt is over"))
        #expect(role.handle(.kv(peer, open(attempt(1))), at: time(0)) == [refusal])
        _ = role.handle(.message(.cancel(attempt(1, 2))), at: time(1))
        #expect(role.handle(.kv(peer, commit(attempt(1))), at: time(1)) == [refusal])
        #expect(role.destination(for: blocks(attempt(1, 2), layer: 0)) == .failure(.ended))
        #expect(role.handle(.kv(peer, open(attempt(1, 3))), at: time(1)).isEmpty)
        #expect(role.load.referencedBlocks == 0)
    }

    @Test func creditIsRepeatedWithoutProgressAndLostCreditComesBack() {
        var role = role(creditWindow: 4)
        _ = role.handle(.message(grant(attempt(1))), at: time(0))
        _ = role.handle(.kv(peer, open(attempt(1))), at: time(0))
        var repeated: [Int64] = []
        for millisecond in Int64(1)...1000 where !role.handle(.tick, at: time(millisecond)).isEmpty {
            repeated.append(millisecond)
        }
        #expect(repeated == [100, 300, 700])
        #expect(role.handle(.kv(peer, open(attempt(1), sent: 4)), at: time(1000)) == [
            .reply(peer, .credit(epoch, attempt(1), limit: 8))
        ])
    }

    @Test func aSilentSenderIsGivenUp() {
        var role = role()
        _ = role.handle(.message(grant(attempt(1))), at: time(0))
        #expect(role.timeOfNextWakeUp == time(3000))
        #expect(role.handle(.tick, at: time(2999)).isEmpty)
        #expect(role.handle(.tick, at: time(3000)) == [.report(.decodeFailed(attempt(1), .transferLost))])
        #expect(role.load == WorkerLoad() && role.timeOfNextWakeUp == nil)
    }

    @Test func anAbortFreesATransferButNotAnEmbeddedQuery() {
        var role = role()
        _ = role.handle(.message(grant(attempt(1))), at: time(0))
        #expect(role.handle(.kv(peer, .abort(epoch, attempt(1))), at: time(0)).isEmpty)
        #expect(role.load.referencedBlocks == 0)
        embed(attempt(2), in: &role)
        _ = role.handle(.kv(peer, .abort(epoch, attempt(2))), at: time(0))
        #expect(role.nextIteration(at: time(1)).iteration?.rows.map(\.attempt) == [attempt(2)])
    }

    @Test func aCancelledRowIsFreedWhenTheIterationIsOverAndAGrantWaitsForIt() {
        var role = role(blockCount: 10)
        embed(attempt(1), in: &role)
        _ = role.nextIteration(at: time(1))
        _ = role.handle(.message(.cancel(attempt(1))), at: time(2))
        #expect(role.load.referencedBlocks == 3)
        #expect(role.handle(.message(grant(attempt(2), tokens: 32, budget: 10)), at: time(2)).isEmpty)
        #expect(role.load.waiting == 1)
        role.checkInvariants()
        #expect(role.handle(.iterationFinished([Sample(attempt: attempt(1), token: .success(3))]), at: time(3)).isEmpty)
        #expect(role.load.referencedBlocks == 8 && role.load.rows == 0)
        role.checkInvariants()
    }

    @Test func aGrantThatDoesNotFitFailsAtOnce() {
        var role = role(blockCount: 10)
        _ = role.handle(.message(grant(attempt(1), tokens: 28, budget: 9)), at: time(0))
        guard case .report(.decodeFailed(attempt(2), .refused)) =
                role.handle(.message(grant(attempt(2), tokens: 12)), at: time(0)).first,
            case .report(.decodeFailed(attempt(3), .computation)) =
                role.handle(.message(grant(attempt(3), tokens: 8, maxTokens: .max)), at: time(0)).first
        else {
            Issue.record("accepted")
            return
        }
        #expect(role.load.referencedBlocks == 7)
        role.checkInvariants()
    }

    @Test func rowsAreEmbeddedByRankAsSlotsComeFree() {
        var role = role(maxSequences: 2)
        for request in [3, 1, 2] as [UInt64] { embed(attempt(request), in: &role, maxTokens: request == 1 ? 2 : 9) }
        let first = role.nextIteration(at: time(1))
        #expect(first.actions == [.report(.embedded(attempt(1), row: 0)), .report(.embedded(attempt(2), row: 1))])
        let samples = [1, 2].map { Sample(attempt: attempt($0), token: .success(8)) }
        #expect(role.handle(.iterationFinished(samples), at: time(2)).contains(.report(.left(attempt(1), row: 0))))
        let second = role.nextIteration(at: time(3))
        #expect(second.actions == [.report(.embedded(attempt(3), row: 0))])
        #expect(second.iteration?.rows.map(\.attempt) == [attempt(3), attempt(2)])
        #expect(second.iteration?.rows.map(\.position) == [8, 9])
        role.checkInvariants()
    }

    @Test func aBadLogitFailsItsRowAlone() {
        var role = role()
        for request in [1, 2] as [UInt64] { embed(attempt(request), in: &role) }
        _ = role.nextIteration(at: time(1))
        let actions = role.handle(
            .iterationFinished([
                Sample(attempt: attempt(1), token: .failure(SampleFailure("NaN"))),
                Sample(attempt: attempt(2), token: .success(8)),
            ]), at: time(2))
        #expect(actions == [
            .report(.tokens([TokenEvent(attempt: attempt(2), index: 1, token: 8)])),
            .report(.decodeFailed(attempt(1), .computation("NaN"))),
        ])
        #expect(role.load.rows == 1)
        role.checkInvariants()
    }
}
