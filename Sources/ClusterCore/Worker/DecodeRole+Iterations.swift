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
        rowsAtShaping = nil
        endRest(at: now)
        let embeds = counters.batch.embeds, rowCount = batch.count
        parkPreempted(at: &boundary)
        trim(into: &boundary.actions)
        displaceForDeferred(at: &boundary)
        takeDeferredGrants(at: now, into: &boundary.actions)
        scaleBatch(into: &boundary.actions)
        for slot in batch.slots.indices where batch.slots[slot] != nil {
            let standing = secure(slot, mayGiveWay: true, at: &boundary)
            if standing != .gone { batch.holdBack(slot, standing == .heldBack) }
        }
        restoreWanted(into: &boundary.actions)
        while let row = ready.first, makeRow(for: row, at: &boundary), embed(row, at: &boundary) {}
        noteWaits()
        if counters.batch.embeds > embeds { rowsAtShaping = rowCount }
        guard batch.computedCount > 0 else { return (nil, boundary.actions) }
        counters.iterations += 1
        counters.rows += UInt64(batch.computedCount)
        counters.heldBack += UInt64(batch.count - batch.computedCount)
        clock.start(at: now)
        return (batch.start(), boundary.actions)
    }

    /// The rows' rest is over: the time since their last step is what they have stalled.
    private mutating func endRest(at now: Instant) {
        if let since = restingSince { counters.batch.stall += (now - since) * batch.count }
        restingSince = nil
    }

    private mutating func noteWaits() {
        for index in ready.indices where !ready[index].hasWaited {
            ready[index].hasWaited = true
            counters.batch.waits += 1
        }
    }

    /// What the boundary before the running iteration took, its actions included. Counts if rows entered the batch or its
    /// layout changed; the rows that were there before have stalled for so long.
    public mutating func noteBoundary(took time: Duration) {
        guard let rows = rowsAtShaping else { return }
        rowsAtShaping = nil
        counters.batch.shapings += 1
        counters.batch.shapingTime += time
        counters.batch.stall += time * rows
    }

    /// What happens between two iterations.
    private struct Boundary {
        var actions: [Action] = []
        /// Those that would give way, the first one last. Ranked once, when the pool runs out.
        var victims: [Rank]?
    }

    /// Puts the first in line into a row. Not if it would be the one to give way: then it keeps its KV and waits.
    private mutating func embed(_ row: DecodeRow, at boundary: inout Boundary) -> Bool {
        guard hasRoomToAlign(row) else { return false }
        let request = row.attempt.request
        ready.removeFirst()
        let slot = batch.insert(row)
        holdings[request]?.place = .row(slot: slot)
        guard secure(slot, mayGiveWay: false, at: &boundary) == .ready else {
            ready.prepend(batch.remove(slot))
            holdings[request]?.place = .ready
            return false
        }
        align(slot, into: &boundary.actions)
        counters.batch.embeds += 1
        boundary.actions.append(.report(.embedded(row.attempt, row: slot)))
        return true
    }

    /// How a row stands before an iteration.
    private enum Standing {
        case ready
        /// Its block comes free when the store has copied others.
        case heldBack
        /// It gave way itself.
        case gone
    }

    /// Makes room for a row's next token. When the pool has run out, whoever ranks lowest gives way until there is
    /// room; that may be the row itself. The highest rank of all always finds room, as it fits the pool alone.
    private mutating func secure(_ slot: Int, mayGiveWay: Bool, at boundary: inout Boundary) -> Standing {
        while let rank = batch.slots[slot]?.rank {
            // However short memory is, whoever is first goes on.
            switch batch.grow(slot, in: &pool, touchingFresh: pool.isFrozen && isFirst(rank)) {
            case .ready: return .ready
            case .copied(let from, let to):
                boundary.actions.append(.copyBlock(from: from, to: to))
                return .ready
            case .exhausted:
                if trim(into: &boundary.actions) { continue }
                if storingCount > 0 { return .heldBack }
                let victim = lowestHolding(at: &boundary)
                guard victim.rank != rank || mayGiveWay else { return .heldBack }
                boundary.victims?.removeLast()
                giveWay(victim, at: &boundary)
            }
        }
        return .gone
    }

    private func lowestHolding(at boundary: inout Boundary) -> Holding {
        let victims = boundary.victims ?? rankedHoldings()
        boundary.victims = victims
        guard let victim = victims.last, let holding = holdings[victim.request] else {
            preconditionFailure("nobody left to give way: \(pool), \(batch)")
        }
        return holding
    }

    /// Everybody who holds blocks of their own, first the one to keep longest.
    private func rankedHoldings() -> [Rank] {
        let rows = batch.slots.compactMap { $0?.rank } + ready.map(\.rank)
        return (rows + transfers.values.map(\.query.rank) + prompts.ranks).sorted()
    }

    // MARK: Giving way

    /// Frees a query's blocks: at once if its KV is not whole, else as soon as the store has copied them.
    private mutating func giveWay(_ victim: Holding, at boundary: inout Boundary) {
        switch victim.place {
        case .row(let slot): park(takeRow(slot), into: &boundary.actions)
        case .ready: park(ready.remove(at: readyIndex(of: victim.rank)), into: &boundary.actions)
        case .deferred, .transfer, .prompt, .parked:
            counters.evictions += 1
            fail(victim, .evicted, into: &boundary.actions)
        }
    }

    private mutating func parkPreempted(at boundary: inout Boundary) {
        for slot in batch.slots.indices where batch.slots[slot]?.isPreempted == true {
            park(takeRow(slot), into: &boundary.actions)
        }
    }

    /// A row for the first in line: a free one, or that of a less urgent query, which is parked.
    private mutating func makeRow(for row: DecodeRow, at boundary: inout Boundary) -> Bool {
        guard batch.count >= scale.rowLimit else { return true }
        let displaceable = batch.slots.compactMap { $0?.rank }.filter(row.rank.mayDisplace)
        guard let lowest = displaceable.max(), let holding = holdings[lowest.request] else { return false }
        boundary.victims = nil
        giveWay(holding, at: &boundary)
        return true
    }

    /// Blocks for granted queries that wait for them: those of less urgent ones.
    private mutating func displaceForDeferred(at boundary: inout Boundary) {
        for grant in deferred.sorted(by: { $0.sequence.rank < $1.sequence.rank }) {
            let needed = configuration.geometry.blockCount(forTokens: grant.sequence.tokens.count)
            var coming = parked.values.reduce(0) { $0 + ($1.isStoring ? $1.row.blockTable.count + $1.row.reserved : 0) }
            while pool.availableCount + coming < max(needed, grant.budget),
                let victim = lowestHolder(displacedBy: grant.sequence.rank) {
                let before = pool.availableCount
                let held = blockCount(heldBy: victim)
                giveWay(victim, at: &boundary)
                coming += held - (pool.availableCount - before)
            }
        }
    }

    private func blockCount(heldBy holding: Holding) -> Int {
        switch holding.place {
        case .row(let slot): batch.slots[slot].map { $0.padding.count + $0.blockTable.count + $0.reserved } ?? 0
        case .ready:
            ready[readyIndex(of: holding.rank)].blockTable.count + ready[readyIndex(of: holding.rank)].reserved
        case .transfer: transfers[holding.attempt.request].map { $0.query.blocks.count + $0.query.reserved } ?? 0
        case .prompt: prompts.queries[holding.attempt.request].map { $0.blocks.count + $0.reserved } ?? 0
        case .deferred, .parked: 0
        }
    }

    /// Whoever would give way first to a query of this rank, among those that hold blocks.
    func lowestHolder(displacedBy rank: Rank) -> Holding? {
        rankedHoldings().last(where: rank.mayDisplace).flatMap { holdings[$0.request] }
    }

    mutating func finishIteration(_ samples: [Sample], at now: Instant, into actions: inout [Action]) {
        clock.finish(at: now)
        if let time = clock.latest { scale.pace.noteIteration(rows: batch.computedCount, time: time) }
        var tokens: [TokenEvent] = []
        var reports: [Action] = []
        for outcome in batch.finish(samples) {
            let slot = outcome.slot
            switch outcome.kind {
            case .goesOn(let event):
                tokens.append(event)
                noteFirstToken(slot, at: now)
            case .ended(let event):
                tokens.append(event)
                noteFirstToken(slot, at: now)
                scale.pace.noteEnd(tokens: Int(event.index) + 1)
                if let holding = holdings[event.attempt.request] { drop(holding, into: &reports) }
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
        restingSince = batch.isEmpty ? nil : now
        takeDeferredGrants(at: now, into: &actions)
    }

    private mutating func noteFirstToken(_ slot: Int, at now: Instant) {
        if let time = batch.takeWholeAt(slot) { counters.batch.noteFirstToken(after: now - time) }
    }

    public func checkInvariants() {
        pool.checkInvariants()
        batch.checkInvariants()
        scale.checkInvariants()
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
        for row in ready {
            check(row.attempt, is: .ready)
            (references, reserved) = (references + row.blockTable.count, reserved + row.reserved)
            held += 1
        }
        for (id, entry) in parked {
            if !entry.isUnwanted { check(entry.row.attempt, is: .parked(id)) }
            precondition(entry.isAtWork || entry.row.blockTable.isEmpty && !entry.isUnwanted, "\(id) is \(entry)")
            (references, reserved) = (references + entry.row.blockTable.count, reserved + entry.row.reserved)
            held += entry.isUnwanted ? 0 : 1
        }
        lot.checkInvariants()
        for (slot, row) in batch.slots.enumerated() {
            guard let row else { continue }
            if !row.isLeaving { check(row.attempt, is: .row(slot: slot)) }
            references += row.blockTable.count + row.padding.count
            reserved += row.reserved
            held += row.isLeaving ? 0 : 1
        }
        precondition(
            zip(ready, ready.dropFirst()).allSatisfy { $0.rank < $1.rank }, "ready is not in order")
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
