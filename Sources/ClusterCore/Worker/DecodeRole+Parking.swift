import DequeModule
import Generation
import OrderedCollections

// Preemption: a query's KV leaves the pool for the parking store and comes back, here or elsewhere. Resuming is
// embedding: the row goes on with the very token that it would have run next.
extension DecodeRole {
    /// Blocks that come free when the store has copied them.
    var storingCount: Int { parked.values.reduce(0) { $0 + ($1.isStoring ? 1 : 0) } }

    /// Whether something is still kept under this name.
    public func isParked(_ id: ParkID) -> Bool { parked[id] != nil }

    // MARK: Out

    /// Takes the blocks of a row that has left batch or line to the store, or gives the query up if that is full.
    mutating func park(_ row: DecodeRow, into actions: inout [Action]) {
        guard let holding = holdings[row.attempt.request] else { preconditionFailure("\(row.attempt) is not held") }
        let bytes = parkedByteCount(of: row)
        guard let tier = lot.take(bytes, sparingMemory: scale.isMemoryShort) else { return evict(row, holding, into: &actions) }
        let id = ParkID(nextPark)
        nextPark += 1
        let entry = ParkedRow(row, tier: tier, byteCount: bytes)
        parked[id] = entry
        holdings[row.attempt.request]?.place = .parked(id)
        counters.parks += 1
        actions.append(.park(entry.contents(id, configuration)))
    }

    func parkedByteCount(of row: DecodeRow) -> Int {
        let geometry = configuration.geometry
        return geometry.blockCount(forTokens: row.position) * geometry.layerCount * geometry.bytesPerLayerBlock
    }

    private mutating func evict(_ row: DecodeRow, _ holding: Holding, into actions: inout [Action]) {
        holdings[row.attempt.request] = nil
        ended.insert(holding.attempt, wasWhole: true)
        free(row.blockTable, reserved: row.reserved)
        counters.evictions += 1
        counters.failures += 1
        actions.append(.report(.decodeFailed(row.attempt, .evicted)))
    }

    /// The store has copied the blocks, or could not.
    mutating func finishParking(_ id: ParkID, isStored: Bool, at now: Instant, into actions: inout [Action]) {
        guard let entry = parked[id], entry.isStoring else { preconditionFailure("\(id) is not being parked") }
        free(entry.row.blockTable, reserved: entry.row.reserved)
        parked[id]?.row.blockTable = []
        parked[id]?.row.reserved = 0
        parked[id]?.state = .stored
        if entry.isUnwanted {
            forget(id, into: &actions)
        } else if isStored {
            actions.append(.report(.parked(entry.row.attempt)))
        } else {
            giveUp(id, .evicted, into: &actions)
        }
        takeDeferredGrants(at: now, into: &actions)
    }

    /// What the store took for what ``Event/parkingFinished(_:_:)`` and ``Event/restoringFinished(_:_:)`` tell.
    public mutating func noteParking(took time: Duration) { counters.parkTime += time }
    public mutating func noteRestoring(took time: Duration) { counters.resumeTime += time }

    // MARK: In

    mutating func resume(_ attempt: AttemptID, budget: Int, into actions: inout [Action]) {
        guard let holding = holdings[attempt.request], holding.attempt == attempt else {
            // It was given up while the order was under way.
            actions.append(.report(.decodeFailed(attempt, .refused("\(attempt) is not parked here"))))
            return
        }
        guard case .parked(let id) = holding.place, let state = parked[id]?.state else { return }
        switch state {
        case .stored, .loading: break
        case .sending(let migration):
            actions.append(.send(.abort(configuration.clusterEpoch, attempt), to: migration.destination))
        case .storing, .wanted, .restoring: return  // Not reported as parked, or asked for already.
        }
        parked[id]?.state = .wanted(budget: budget)
        restoreWanted(into: &actions)
    }

    /// Gives blocks to those that are to be resumed, in order of rank, as far as they go.
    mutating func restoreWanted(into actions: inout [Action]) {
        let wanted = parked.filter { $0.value.isWanted }.sorted { $0.value.row.rank < $1.value.row.rank }
        for (id, entry) in wanted {
            guard case .wanted(let budget) = entry.state else { continue }
            guard mayReadmit(entry.row) else { return }
            let needed = configuration.geometry.blockCount(forTokens: entry.row.position)
            let reserved = max(0, min(budget, pool.availableCount) - needed)
            if batch.isEmpty, ready.isEmpty, !awaitsBlocks { pool.unpin(for: needed + reserved) }
            guard let blocks = try? pool.allocate(needed, reserving: reserved) else { return }
            parked[id]?.row.blockTable = blocks
            parked[id]?.row.reserved = reserved
            parked[id]?.state = .restoring
            if let entry = parked[id] { actions.append(.restore(entry.contents(id, configuration))) }
        }
    }

    /// The store has filled the blocks, or what it had is damaged.
    mutating func finishRestoring(_ id: ParkID, isIntact: Bool, at now: Instant, into actions: inout [Action]) {
        guard let entry = parked[id], case .restoring = entry.state else {
            preconditionFailure("\(id) is not being restored")
        }
        if isIntact, !entry.isUnwanted {
            counters.resumes += 1
            forget(id, into: &actions)
            makeReady(entry.row, at: now)
        } else {
            free(entry.row.blockTable, reserved: entry.row.reserved)
            parked[id]?.row.blockTable = []
            parked[id]?.row.reserved = 0
            parked[id]?.state = .stored
            if entry.isUnwanted { forget(id, into: &actions) } else { giveUp(id, .transferLost, into: &actions) }
        }
        takeDeferredGrants(at: now, into: &actions)
    }

    // MARK: Away

    /// A parked query is not wanted any more. While the store is at work on it, it stays until that is over.
    mutating func dropParked(_ id: ParkID, into actions: inout [Action]) {
        guard let entry = parked[id] else { preconditionFailure("\(id) is not parked") }
        switch entry.state {
        case .storing, .restoring: parked[id]?.isUnwanted = true
        case .stored, .wanted, .loading: forget(id, into: &actions)
        case .sending(let migration):
            actions.append(.send(.abort(configuration.clusterEpoch, entry.row.attempt), to: migration.destination))
            forget(id, into: &actions)
        }
    }

    /// Nothing is parked under `id` any more; its blocks, if it has any, are the caller's.
    mutating func forget(_ id: ParkID, into actions: inout [Action]) {
        guard let entry = parked.removeValue(forKey: id) else { preconditionFailure("\(id) is not parked") }
        lot.giveBack(entry.byteCount, entry.tier)
        actions.append(.discard(id))
    }

    /// What is parked is of no use: the query has to be replayed.
    private mutating func giveUp(_ id: ParkID, _ failure: WorkFailure, into actions: inout [Action]) {
        guard let entry = parked[id], let holding = holdings[entry.row.attempt.request] else {
            preconditionFailure("\(id) is not held")
        }
        if failure == .evicted { counters.evictions += 1 }
        fail(holding, failure, into: &actions)
    }
}

extension ParkedRow {
    var isStoring: Bool { if case .storing = state { true } else { false } }
    var isWanted: Bool { if case .wanted = state { true } else { false } }
    /// The shell reads or writes its blocks.
    var isAtWork: Bool {
        switch state {
        case .storing, .restoring: true
        case .stored, .wanted, .loading, .sending: false
        }
    }
}
