import DequeModule
import Generation
import OrderedCollections

// The running batch at the boundary between two iterations.
extension DecodeRole {
    /// Embeds what is whole and plans the next iteration; `nil` when there is no row. To be asked after every event
    /// while the engine is idle. The actions come before the iteration. The shell should let go of the iteration before
    /// it reports its end: then histories and block tables grow in place.
    public mutating func nextIteration(at now: Instant) -> (iteration: DecodeIteration?, actions: [Action]) {
        precondition(!batch.isIterating, "an iteration is running in \(batch)")
        var boundary = Boundary()
        for slot in batch.slots.indices where batch.slots[slot] != nil {
            _ = secure(slot, mayGiveWay: true, at: &boundary)
        }
        while !batch.isFull, let query = ready.popFirst(), embed(query, at: &boundary) {}
        guard !batch.isEmpty else { return (nil, boundary.actions) }
        counters.iterations += 1
        counters.rows += UInt64(batch.count)
        return (batch.start(), boundary.actions)
    }

    /// What happens between two iterations.
    private struct Boundary {
        var actions: [Action] = []
        /// Those that would give way, the first one last. Ranked once, when the pool runs out.
        var victims: [Rank]?
    }

    /// Puts a query into a row. Not if it would be the one to give way: then it keeps its KV and waits.
    private mutating func embed(_ query: ReadyQuery, at boundary: inout Boundary) -> Bool {
        let attempt = query.query.order.attempt
        let slot = batch.insert(DecodeRow(query.query, next: query.next))
        holdings[attempt.request]?.place = .row(slot: slot)
        guard secure(slot, mayGiveWay: false, at: &boundary) else {
            _ = batch.remove(slot)
            holdings[attempt.request]?.place = .ready
            ready.prepend(query)
            return false
        }
        counters.embeds += 1
        boundary.actions.append(.report(.embedded(attempt, row: slot)))
        return true
    }

    /// Makes room for a row's next token. When the pool has run out, whoever ranks lowest gives way until there is
    /// room; that may be the row itself. The highest rank of all always finds room, as it fits the pool alone.
    /// - Returns: whether the row has room.
    private mutating func secure(_ slot: Int, mayGiveWay: Bool, at boundary: inout Boundary) -> Bool {
        while let rank = batch.slots[slot]?.rank {
            switch batch.grow(slot, in: &pool) {
            case .ready: return true
            case .copied(let from, let to):
                boundary.actions.append(.copyBlock(from: from, to: to))
                return true
            case .exhausted:
                let victim = lowestHolding(at: &boundary)
                guard victim.rank != rank || mayGiveWay else { return false }
                boundary.victims?.removeLast()
                counters.evictions += 1
                fail(victim, .evicted, into: &boundary.actions)
            }
        }
        return false
    }

    private func lowestHolding(at boundary: inout Boundary) -> Holding {
        let victims = boundary.victims ?? rankedHoldings()
        boundary.victims = victims
        guard let victim = victims.last, let holding = holdings[victim.request] else {
            preconditionFailure("nobody left to evict: \(pool), \(batch)")
        }
        return holding
    }

    /// Everybody who holds blocks, first the one to keep longest.
    private func rankedHoldings() -> [Rank] {
        let waiting = ready.map(\.query.rank) + transfers.values.map(\.query.rank) + prompts.ranks
        return (batch.slots.compactMap { $0?.rank } + waiting).sorted()
    }

    mutating func finishIteration(_ samples: [Sample], at now: Instant, into actions: inout [Action]) {
        var tokens: [TokenEvent] = []
        var reports: [Action] = []
        for outcome in batch.finish(samples) {
            let slot = outcome.slot
            switch outcome.kind {
            case .goesOn(let event): tokens.append(event)
            case .ended(let event):
                tokens.append(event)
                if let holding = holdings[event.attempt.request] { drop(holding) }
                reports.append(.report(.left(event.attempt, row: slot)))
            case .failed(let failure):
                guard let request = batch.slots[slot]?.rank.request, let holding = holdings[request] else {
                    preconditionFailure("slot \(slot) failed but is not held")
                }
                fail(holding, .computation(failure.message), into: &reports)
            case .left: removeRow(slot)
            }
        }
        if !tokens.isEmpty { actions.append(.report(.tokens(tokens))) }
        actions += reports
        takeDeferredGrants(at: now, into: &actions)
    }

    public func checkInvariants() {
        pool.checkInvariants()
        batch.checkInvariants()
        ended.checkInvariants()
        var references = 0, reserved = 0, held = deferred.count
        for grant in deferred { check(grant.sequence.attempt, is: .deferred) }
        for transfer in transfers.values {
            transfer.checkInvariants()
            check(transfer.query.order.attempt, is: .transfer)
            (references, reserved) = (references + transfer.query.blocks.count, reserved + transfer.query.reserved)
            held += 1
        }
        prompts.checkInvariants()
        references += prompts.runningReferences
        for query in prompts.queries.values {
            check(query.order.attempt, is: .prompt)
            (references, reserved) = (references + query.blocks.count, reserved + query.reserved)
            held += 1
        }
        for query in ready.map(\.query) {
            check(query.order.attempt, is: .ready)
            (references, reserved) = (references + query.blocks.count, reserved + query.reserved)
            held += 1
        }
        for (slot, row) in batch.slots.enumerated() {
            guard let row else { continue }
            if !row.isLeaving { check(row.attempt, is: .row(slot: slot)) }
            (references, reserved) = (references + row.blockTable.count, reserved + row.reserved)
            held += row.isLeaving ? 0 : 1
        }
        precondition(
            zip(ready, ready.dropFirst()).allSatisfy { $0.query.rank < $1.query.rank }, "ready is not in order")
        precondition(held == holdings.count, "\(held) queries, \(holdings.count) holdings")
        precondition(reserved == pool.reservedCount, "\(reserved) blocks reserved by queries: \(pool)")
        let counted = (0..<UInt32(pool.blockCount)).reduce(0) { $0 + pool.referenceCount(of: BlockID($1)) }
        precondition(references == counted, "\(references) references held, \(counted) counted in \(pool)")
    }

    private func check(_ attempt: AttemptID, is place: Place) {
        let holding = holdings[attempt.request]
        precondition(
            holding?.attempt == attempt && holding?.place == place,
            "\(attempt) at \(place), held as \(String(describing: holding))")
    }
}
