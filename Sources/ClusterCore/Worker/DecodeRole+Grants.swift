import DequeModule
import Generation
import OrderedCollections

// What the coordinator wants, and what becomes of the blocks a query holds.
extension DecodeRole {
    mutating func receive(_ message: CoordinatorMessage, at now: Instant, into actions: inout [Action]) {
        switch message {
        case .grant(let grant): accept(grant, at: now, into: &actions)
        case .cancel(let attempt): cancel(attempt, into: &actions)
        case .preempt(let attempt): preempt(attempt)
        case .resume(let attempt, let budget): resume(attempt, budget: budget, into: &actions)
        case .retarget(let from, let to, let destination): retarget(from, as: to, to: destination, into: &actions)
        case .releaseGroup(let group):
            pool.unpin(group)
            takeDeferredGrants(at: now, into: &actions)
        case .prefill(let order):
            actions.append(.report(.prefillFailed(order.sequence.attempt, .refused("this is a decode worker"))))
        case .registered, .registrationRefused, .registerAgain: break  // The control link's business.
        }
    }

    private mutating func accept(_ grant: Grant, at now: Instant, into actions: inout [Action]) {
        let attempt = grant.sequence.attempt
        if let held = holdings[attempt.request]?.attempt {
            guard held < attempt else { return }
            cancel(held, into: &actions)
        }
        counters.grants += 1
        scale.pace.noteArrival(at: now)
        if let problem = flaw(of: grant.sequence) {
            refuse(grant, .computation(problem), into: &actions)
            return
        }
        take(grant, at: now, into: &actions)
    }

    /// Why a query can never be decoded here; `nil` if it can.
    private func flaw(of sequence: SequenceOrder) -> String? {
        let count = sequence.tokens.count
        guard count > 0, sequence.promptCount > 0, sequence.promptCount <= count else {
            return "\(count) tokens with a prompt of \(sequence.promptCount)"
        }
        guard longestKV(of: sequence) <= configuration.maxModelLength, count <= configuration.maxModelLength else {
            return """
                a prompt of \(sequence.promptCount) tokens and \(sequence.stop.maxTokens) more exceed the model's \
                length of \(configuration.maxModelLength)
                """
        }
        return nil
    }

    /// Tokens whose KV the query may need in the end; the last token is never run.
    private func longestKV(of sequence: SequenceOrder) -> Int {
        sequence.promptCount + max(0, Int(sequence.stop.maxTokens) - 1)
    }

    /// Allocates the blocks of the KV to come and sets the rest of the budget aside.
    private mutating func take(_ grant: Grant, at now: Instant, into actions: inout [Action]) {
        let geometry = configuration.geometry
        let needed = geometry.blockCount(forTokens: grant.sequence.tokens.count)
        let longest = geometry.blockCount(forTokens: longestKV(of: grant.sequence))
        let shared = grant.sequence.tokens.count / geometry.blockSize
        let useful = max(needed, longest, shared + grant.sequence.forks.count * (longest - shared))
        let reserved = max(0, min(grant.budget, useful) - needed)
        let attempt = grant.sequence.attempt
        let rank = grant.sequence.rank
        guard let claim = claim(needed, reserving: reserved, for: grant.sequence) else {
            guard canWait(rank) else {
                refuse(grant, .refused("\(needed) + \(reserved) blocks wanted: \(pool)"), into: &actions)
                return
            }
            deferred.append(grant)
            holdings[attempt.request] = Holding(attempt: attempt, rank: rank, place: .deferred)
            return
        }
        let query = DecodeQuery(
            order: grant.sequence, blocks: claim.blocks, reserved: reserved, sharedCount: claim.sharedCount,
            computed: claim.tokenCount)
        holdings[attempt.request] = Holding(attempt: attempt, rank: rank, place: computesPrompts ? .prompt : .transfer)
        if computesPrompts {
            prompts.insert(query, at: now)
        } else {
            awaitTransfer(of: query, at: now, into: &actions)
        }
    }

    /// There will be room, without anybody being turned away.
    func canWait(_ rank: Rank) -> Bool { awaitsBlocks || canDisplace(rank) || pool.isFrozen }

    /// Blocks come free when what the engine computes now is over, when the store has copied others, or when the batch's
    /// padding goes.
    var awaitsBlocks: Bool {
        batch.isIterating && batch.hasLeavingRows || prompts.hasLeavingChunks || storingCount > 0 || batch.isPadded
    }

    /// Somebody would have to give way to a query of this rank.
    private func canDisplace(_ rank: Rank) -> Bool { lowestHolder(displacedBy: rank) != nil }

    private mutating func awaitTransfer(of query: DecodeQuery, at now: Instant, into actions: inout [Action]) {
        let attempt = query.order.attempt
        let transfer = IncomingTransfer(
            query, layerCount: configuration.geometry.layerCount, window: configuration.creditWindow,
            timings: configuration.timings, at: now)
        transfers[attempt.request] = transfer
        wakeUp = min(wakeUp ?? transfer.nextWakeUp, transfer.nextWakeUp)
        openEarly(attempt, at: now, into: &actions)
    }

    private mutating func refuse(_ grant: Grant, _ failure: WorkFailure, into actions: inout [Action]) {
        counters.failures += 1
        ended.insert(grant.sequence.attempt, wasWhole: false)
        actions.append(.report(.decodeFailed(grant.sequence.attempt, failure)))
    }

    /// Grants that waited for the end of the iteration.
    mutating func takeDeferredGrants(at now: Instant, into actions: inout [Action]) {
        let grants = deferred
        deferred = []
        for grant in grants {
            holdings[grant.sequence.attempt.request] = nil
            take(grant, at: now, into: &actions)
        }
    }

    private mutating func cancel(_ attempt: AttemptID, into actions: inout [Action]) {
        if let holding = holdings[attempt.request], holding.attempt == attempt {
            drop(holding, into: &actions)
        } else {
            ended.insert(attempt, wasWhole: false)
        }
    }

    mutating func fail(_ holding: Holding, _ failure: WorkFailure, into actions: inout [Action]) {
        counters.failures += 1
        drop(holding, into: &actions)
        actions.append(.report(.decodeFailed(holding.attempt, failure)))
    }

    /// Forgets a query and frees its blocks; those that are being computed when that is over.
    mutating func drop(_ holding: Holding, into actions: inout [Action]) {
        let request = holding.attempt.request
        holdings[request] = nil
        ended.insert(holding.attempt, wasWhole: holding.place.isWhole)
        switch holding.place {
        case .deferred: deferred.removeAll { $0.sequence.attempt == holding.attempt }
        case .transfer:
            guard let transfer = transfers.removeValue(forKey: request) else {
                preconditionFailure("\(holding) without a transfer")
            }
            free(transfer.query.blocks, reserved: transfer.query.reserved)
        case .prompt:
            let query = prompts.remove(request)
            free(query.blocks, reserved: query.reserved)
        case .ready:
            let index = readyIndex(of: holding.rank)
            precondition(index < ready.count && ready[index].rank == holding.rank, "\(holding) is not ready")
            let row = ready.remove(at: index)
            free(row.blockTable, reserved: row.reserved)
        case .row(let slot):
            if batch.isIterating { batch.leave(slot) } else { removeRow(slot) }
        case .parked(let id): dropParked(id, into: &actions)
        }
    }

    mutating func removeRow(_ slot: Int) {
        var row = takeRow(slot)
        keepPrefix(of: &row)
        free(row.blockTable, reserved: row.reserved)
    }

    mutating func free(_ blocks: [BlockID], reserved: Int) {
        pool.release(blocks)
        pool.unreserve(reserved)
    }

    /// The KV is whole and what follows it known: the query embeds when there is a row, or each of its choices does.
    mutating func makeReady(_ query: DecodeQuery, _ next: [NextToken], at now: Instant, into actions: inout [Action]) {
        guard query.order.forks.isEmpty else { return fork(query, next, at: now, into: &actions) }
        guard let token = next.first?.token else { preconditionFailure("\(query.order.attempt) without a token") }
        let event = TokenEvent(attempt: query.order.attempt, index: query.order.firstIndex, token: token)
        makeReady(DecodeRow(query, next: event), at: now)
    }

    mutating func makeReady(_ row: DecodeRow, at now: Instant) {
        var row = row
        (row.wholeAt, row.hasWaited) = (now, false)
        ready.insert(row, at: readyIndex(of: row.rank))
        holdings[row.attempt.request]?.place = .ready
    }

    /// The coordinator wants a row elsewhere, or nowhere for now: it is parked at the next boundary. One that has ended
    /// or was never embedded stays as it is.
    private mutating func preempt(_ attempt: AttemptID) {
        guard let holding = holdings[attempt.request], holding.attempt == attempt else { return }
        if case .row(let slot) = holding.place { batch.preempt(slot) }
    }

    /// Index of the first ready query that does not come before `rank`.
    func readyIndex(of rank: Rank) -> Int {
        var low = 0, high = ready.count
        while low < high {
            let middle = (low + high) / 2
            if ready[middle].rank < rank { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension DecodeRole.Place {
    var isWhole: Bool {
        switch self {
        case .deferred, .transfer, .prompt: false
        case .ready, .row, .parked: true
        }
    }
}
