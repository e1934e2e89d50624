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
        counters.heldBack += UInt64(batch.count - batch.computedCount)
        makeWayForOthers()
        counters.rows += UInt64(batch.computedCount)
        noteSpacing(newcomers: Int(counters.batch.embeds - embeds), at: now)
        clock.start(at: now)
        return (batch.start(), boundary.actions)
    }

    /// The rows' rest is over: the time since their last step is what they have stalled.
    private mutating func endRest(at now: Instant) {
        if let since = restingSince { counters.batch.stall += (now - since) * batch.count }
        restingSince = nil
        if let since = lentSince { counters.batch.lent += (now - since) * batch.count }
        lentSince = nil
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

    /// What the end of the iteration took that was handled last. Counts if rows left at it.
    public mutating func noteEnd(took time: Duration) {
        guard hasRemoved else { return }
        hasRemoved = false
        counters.batch.removalEnds += 1
        counters.batch.removalTime += time
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

    /// Rows of the lowest priority sit out an iteration that others would have to wait longer for.
    private mutating func makeWayForOthers() {
        let stepping = batch.slots.indices.filter { batch.slots[$0]?.isHeldBack == false }
        let lowest = stepping.filter { batch.slots[$0]?.rank.priority == .low }
        guard !background.admits(beside: stepping.count - lowest.count, all: stepping.count, scale.pace) else { return }
        for slot in lowest { batch.holdBack(slot, true) }
        counters.batch.yields += UInt64(lowest.count)
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
                // Rather a group's blocks than a row that could only come back to the same.
                if victim.rank == rank, pool.unpin(for: 1) { continue }
                guard victim.rank != rank || mayGiveWay else { return .heldBack }
                boundary.victims?.removeLast()
                giveWay(victim, at: &boundary)
            }
        }
        return .gone
    }

    mutating func finishIteration(_ samples: [Sample], at now: Instant, into actions: inout [Action]) {
        clock.finish(at: now)
        if let time = clock.latest { scale.pace.noteIteration(rows: batch.computedCount, time: time) }
        var tokens: [TokenEvent] = []
        var reports: [Action] = []
        let removals = counters.batch.removals
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
        hasRemoved = counters.batch.removals > removals
        if !tokens.isEmpty { actions.append(.report(.tokens(tokens))) }
        actions += reports
        restingSince = batch.isEmpty ? nil : now
        reportPrefixes(into: &actions)
        takeDeferredGrants(at: now, into: &actions)
    }

    private mutating func noteFirstToken(_ slot: Int, at now: Instant) {
        if let time = batch.takeWholeAt(slot) { counters.batch.noteFirstToken(after: now - time) }
    }
}
