import ClusterCore
import Generation
import Testing

@Suite struct PrefillRoleTests {
    private let epoch = ClusterEpoch(9)
    private let geometry = KVGeometry(
        layerCount: 2, blockSize: 4, keyValueHeads: 1, headDimension: 1, bytesPerElement: 4)
    private let destination = KVDestination(worker: WorkerID("d"), endpoint: "e")

    private func role(blockCount: Int = 16, maxSequences: Int = 4, maxBatchedTokens: Int = 8) -> PrefillRole {
        PrefillRole(.init(
            clusterEpoch: epoch, workerEpoch: WorkerEpoch(1), modelHash: "m", geometry: geometry,
            blockCount: blockCount, maxSequences: maxSequences, maxBatchedTokens: maxBatchedTokens,
            maxModelLength: 400))
    }

    private func time(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    private func order(_ request: UInt64, ordinal: UInt32 = 1, tokens: Int, priority: Priority = .normal) -> PrefillOrder {
        let attempt = AttemptID(request: RequestID(request), ordinal: ordinal)
        return PrefillOrder(
            sequence: SequenceOrder(
                attempt: attempt, tokens: (0..<tokens).map { TokenID($0) }, promptCount: tokens, sampling: .greedy,
                stop: StopConditions(maxTokens: 9), priority: priority),
            destination: destination)
    }

    private func ranges(_ actions: [PrefillRole.Action]) -> [LayerBlockRange] {
        actions.compactMap { if case .sendBlocks(let blocks, _, _, _) = $0 { blocks.range } else { nil } }
    }

    private func leases(_ actions: [PrefillRole.Action]) -> [LeaseID] {
        actions.compactMap { if case .sendBlocks(_, _, let lease, _) = $0 { lease } else { nil } }
    }

    private func reports(_ actions: [PrefillRole.Action]) -> [WorkerMessage] {
        actions.compactMap { if case .report(let report) = $0 { report } else { nil } }
    }

    @Test func asksForCreditLessAndLessOften() {
        var role = role()
        _ = role.handle(.message(.prefill(order(1, tokens: 6))), at: time(0))
        var asked: [Int64] = []
        for millisecond in Int64(1)...900 {
            if !role.handle(.tick, at: time(millisecond)).isEmpty { asked.append(millisecond) }
        }
        #expect(asked == [20, 60, 140, 300, 500, 700, 900])
    }

    @Test func sendsEachLayerAsSoonAsItIsReadyAndPaidFor() throws {
        var role = role()
        let order = order(1, tokens: 10)
        let attempt = order.sequence.attempt
        #expect(role.handle(.message(.prefill(order)), at: time(0)) == [
            .send(
                .open(KVOpen(epoch: epoch, attempt: attempt, modelHash: "m", geometry: geometry, tokenCount: 10)),
                to: destination)
        ])
        let step = try #require(role.nextStep(at: time(0)).step)
        #expect(step.chunks.map(\.tokens) == [[0, 1, 2, 3, 4, 5, 6, 7]] && step.chunks[0].sampling == nil)
        #expect(role.handle(.layerStored(0), at: time(1)).isEmpty)
        let credited = role.handle(.reply(.credit(epoch, attempt, limit: 3)), at: time(2))
        #expect(ranges(credited) == [LayerBlockRange(layer: 0, first: 0, count: 2)])
        #expect(ranges(role.handle(.layerStored(1), at: time(3))) == [LayerBlockRange(layer: 1, first: 0, count: 1)])
        #expect(role.handle(.stepFinished([]), at: time(4)).isEmpty)
        let rest = role.handle(.reply(.credit(epoch, attempt, limit: 6)), at: time(5))
        #expect(ranges(rest) == [LayerBlockRange(layer: 1, first: 1, count: 1)])

        let last = try #require(role.nextStep(at: time(6)).step)
        #expect(last.chunks[0].start == 8 && last.chunks[0].sampling?.index == 0)
        #expect(ranges(role.handle(.layerStored(0), at: time(7))) == [LayerBlockRange(layer: 0, first: 2, count: 1)])
        let end = role.handle(.stepFinished([Sample(attempt: attempt, token: .success(5))]), at: time(8))
        #expect(ranges(end) == [LayerBlockRange(layer: 1, first: 2, count: 1)])
        let event = TokenEvent(attempt: attempt, index: 0, token: 5)
        #expect(end.suffix(2) == [
            .report(.prefillFinished(attempt, event)),
            .send(.commit(KVCommit(epoch: epoch, attempt: attempt, tokenCount: 10, next: event)), to: destination),
        ])
        role.checkInvariants()
    }

    /// The long one goes on afterwards, and loses nothing.
    @Test func anUrgentPromptOvertakesALongOneAtTheNextChunk() throws {
        var role = role()
        _ = role.handle(.message(.prefill(order(1, tokens: 32))), at: time(0))
        #expect(role.nextStep(at: time(0)).step?.chunks.map(\.tokens.count) == [8])
        _ = role.handle(.message(.prefill(order(2, tokens: 6, priority: .high))), at: time(1))
        _ = role.handle(.stepFinished([]), at: time(2))
        let step = try #require(role.nextStep(at: time(2)).step)
        #expect(step.chunks.map(\.attempt.request.rawValue) == [2] && step.chunks.map(\.tokens.count) == [6])
        role.checkInvariants()
    }

    @Test func whileUrgentPromptsComeOthersAreComputedInSmallPieces() throws {
        func chunk(at milliseconds: Int64, of role: inout PrefillRole) -> Int {
            let step = role.nextStep(at: time(milliseconds)).step
            defer { _ = role.handle(.stepFinished([]), at: time(milliseconds)) }
            return step?.chunks.reduce(0) { $0 + $1.tokens.count } ?? 0
        }
        var role = role(blockCount: 128, maxBatchedTokens: 24)
        _ = role.handle(.message(.prefill(order(1, tokens: 300, priority: .low))), at: time(0))
        #expect(chunk(at: 0, of: &role) == 24, "nobody else is about")
        let urgent = order(2, tokens: 6)
        _ = role.handle(.message(.prefill(urgent)), at: time(1))
        _ = role.handle(.message(.cancel(urgent.sequence.attempt)), at: time(1))
        #expect(chunk(at: 2, of: &role) == 16)
        #expect(chunk(at: 9_000, of: &role) == 16)
        #expect(chunk(at: 11_002, of: &role) == 24, "nobody has come for ten seconds")
    }

    @Test func aMessageHoldsAtMost32LayerBlocks() throws {
        var role = role(blockCount: 100, maxBatchedTokens: 400)
        let order = order(1, tokens: 400)
        _ = role.handle(.message(.prefill(order)), at: time(0))
        _ = role.handle(.reply(.credit(epoch, order.sequence.attempt, limit: 1000)), at: time(0))
        _ = role.nextStep(at: time(0))
        #expect(ranges(role.handle(.layerStored(0), at: time(1))).map(\.count) == [32, 32, 32, 4])
    }

    @Test func blocksStayWhileTheStepOrTheTransportReadsThem() throws {
        var role = role()
        let order = order(1, tokens: 8)
        _ = role.handle(.message(.prefill(order)), at: time(0))
        _ = role.handle(.reply(.credit(epoch, order.sequence.attempt, limit: 100)), at: time(0))
        _ = role.nextStep(at: time(0))
        let sent = leases(role.handle(.layerStored(0), at: time(1)))
        let cancelled = role.handle(.message(.cancel(order.sequence.attempt)), at: time(2))
        #expect(cancelled == [.send(.abort(epoch, order.sequence.attempt), to: destination)])
        #expect(role.load.referencedBlocks == 2 && !role.isQuiescent)
        #expect(role.handle(.layerStored(1), at: time(3)).isEmpty)
        let sample = Sample(attempt: order.sequence.attempt, token: .success(1))
        #expect(role.handle(.stepFinished([sample]), at: time(4)).isEmpty)
        #expect(role.load.referencedBlocks == 2)
        for lease in sent + sent { _ = role.handle(.sent(lease), at: time(5)) }
        #expect(role.load.referencedBlocks == 0 && role.isQuiescent)
        role.checkInvariants()
    }

    @Test func aNewAttemptInMidStepDoesNotGetTheOldOnesToken() throws {
        var role = role()
        let old = order(1, tokens: 8)
        _ = role.handle(.message(.prefill(old)), at: time(0))
        _ = role.nextStep(at: time(0))
        let new = order(1, ordinal: 2, tokens: 6)
        _ = role.handle(.message(.prefill(new)), at: time(1))
        let end = role.handle(.stepFinished([Sample(attempt: old.sequence.attempt, token: .success(1))]), at: time(2))
        #expect(end.isEmpty)
        #expect(role.nextStep(at: time(3)).step?.chunks.map(\.attempt) == [new.sequence.attempt])
        role.checkInvariants()
    }

    @Test func aRetargetRepeatsWhatWasReportedUnderTheOldName() {
        var role = role()
        let order = order(1, tokens: 8)
        _ = role.handle(.message(.prefill(order)), at: time(0))
        _ = role.nextStep(at: time(0))
        let old = order.sequence.attempt
        _ = role.handle(.stepFinished([Sample(attempt: old, token: .success(4))]), at: time(1))
        let elsewhere = KVDestination(worker: WorkerID("d2"), endpoint: "e2")
        let actions = role.handle(.message(.retarget(from: old, to: old.next, elsewhere)), at: time(2))
        let event = TokenEvent(attempt: old.next, index: 0, token: 4)
        #expect(reports(actions) == [.prefillStarted(old.next), .prefillFinished(old.next, event)])
        #expect(role.handle(.reply(.credit(epoch, old, limit: 9)), at: time(3)).isEmpty)
        let sent = role.handle(.reply(.credit(epoch, old.next, limit: 9)), at: time(3))
        #expect(ranges(sent).reduce(0) { $0 + $1.count } == 4)
        let commit = KVCommit(epoch: epoch, attempt: old.next, tokenCount: 8, next: event)
        #expect(sent.last == .send(.commit(commit), to: elsewhere))
    }

    @Test func aBrokenConnectionIsAskedAgainAtOnceAndTheKVKept() {
        var role = role()
        let order = order(1, tokens: 8)
        let attempt = order.sequence.attempt
        _ = role.handle(.message(.prefill(order)), at: time(0))
        _ = role.handle(.reply(.credit(epoch, attempt, limit: 99)), at: time(0))
        _ = role.nextStep(at: time(0))
        let sent = role.handle(.layerStored(0), at: time(1))
        #expect(ranges(sent).count == 1)
        #expect(role.handle(.peerUnreachable(WorkerID("other")), at: time(2)).isEmpty)
        let open = KVOpen(
            epoch: epoch, attempt: attempt, modelHash: "m", geometry: geometry, tokenCount: 8, sent: 2)
        #expect(role.handle(.peerUnreachable(destination.worker), at: time(2)) == [.send(.open(open), to: destination)])
        #expect(role.load.referencedBlocks == 2)
    }

    @Test func aPromptWaitsForBlocksAndPlaces() {
        var role = role(blockCount: 3, maxSequences: 1, maxBatchedTokens: 100)
        let (first, second) = (order(1, tokens: 8), order(2, tokens: 8))
        for order in [first, second] { _ = role.handle(.message(.prefill(order)), at: time(0)) }
        #expect(role.nextStep(at: time(0)).step?.chunks.map(\.attempt) == [first.sequence.attempt])
        #expect(role.load.rows == 1 && role.load.waiting == 1)
        _ = role.handle(.stepFinished([Sample(attempt: first.sequence.attempt, token: .success(1))]), at: time(1))
        #expect(role.nextStep(at: time(1)).step == nil)
        _ = role.handle(.reply(.complete(epoch, first.sequence.attempt)), at: time(2))
        #expect(role.nextStep(at: time(2)).step?.chunks.map(\.attempt) == [second.sequence.attempt])
    }

    @Test(arguments: [401, 70, 0])
    func whatCanNeverBeComputedIsRefusedAtOnce(tokens: Int) {
        var role = role(blockCount: 16)
        let order = order(1, tokens: tokens)
        let actions = role.handle(.message(.prefill(order)), at: time(0))
        guard case .prefillFailed(order.sequence.attempt, .computation) = reports(actions).first else {
            Issue.record("\(actions)")
            return
        }
        #expect(role.load == WorkerLoad(work: role.load.work))
    }

    @Test func aBadLogitAndARefusalEndTheAttempt() {
        var role = role()
        for (request, isLogit) in [(UInt64(1), true), (2, false)] {
            let order = order(request, tokens: 4)
            let attempt = order.sequence.attempt
            _ = role.handle(.message(.prefill(order)), at: time(0))
            _ = role.nextStep(at: time(0))
            let token: Result<TokenID, SampleFailure> = isLogit ? .failure(SampleFailure("NaN")) : .success(3)
            var actions = role.handle(.stepFinished([Sample(attempt: attempt, token: token)]), at: time(1))
            if !isLogit { actions = role.handle(.reply(.refused(epoch, attempt, "no")), at: time(2)) }
            #expect(reports(actions) == [.prefillFailed(attempt, isLogit ? .computation("NaN") : .refused("no"))])
            #expect(role.load.referencedBlocks == 0)
        }
    }

    @Test func repliesOfAnotherEpochOrOutOfBoundsDoNothing() {
        var role = role()
        let order = order(1, tokens: 4)
        let attempt = order.sequence.attempt
        _ = role.handle(.message(.prefill(order)), at: time(0))
        #expect(role.handle(.reply(.complete(ClusterEpoch(8), attempt)), at: time(1)).isEmpty)
        #expect(role.handle(.reply(.refused(ClusterEpoch(8), attempt, "")), at: time(1)).isEmpty)
        #expect(role.handle(.reply(.complete(epoch, attempt)), at: time(1)).isEmpty)
        _ = role.nextStep(at: time(1))
        _ = role.handle(.reply(.credit(epoch, attempt, limit: 99)), at: time(1))
        _ = role.handle(.stepFinished([Sample(attempt: attempt, token: .success(3))]), at: time(1))
        for range in [
            LayerBlockRange(layer: 2, first: 0, count: 1), LayerBlockRange(layer: -1, first: 0, count: 1),
            LayerBlockRange(layer: 0, first: 0, count: 2), LayerBlockRange(layer: 0, first: .max, count: .max),
            LayerBlockRange(layer: 0, first: 0, count: 0),
        ] {
            #expect(role.handle(.reply(.missing(epoch, attempt, [range])), at: time(1)).isEmpty)
        }
        let again = LayerBlockRange(layer: 1, first: 0, count: 1)
        #expect(ranges(role.handle(.reply(.missing(epoch, attempt, [again])), at: time(2))) == [again])
        #expect(role.load.rows == 1)
    }
}
