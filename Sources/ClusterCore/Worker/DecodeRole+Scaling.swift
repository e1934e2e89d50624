import DequeModule
import Generation
import OrderedCollections

// The batch's size: what ``BatchScale`` is told at each boundary, and what follows from its answer; and what is done while
// the system is short of memory.
extension DecodeRole {
    /// Blocks whose memory is given back at once: the engine must not wait long for it.
    private static let releaseLimit = 64

    /// Asks for the number of rows and parks the lowest-ranked ones until the free blocks last.
    mutating func scaleBatch(into actions: inout [Action]) {
        guard !scale.isOff else { return }
        repeat {
            scale.review(reading)
        } while parkLowest(for: pool.isFrozen ? .memory : .blocks, into: &actions)
        owesMemory = false
    }

    private var reading: BatchScale.Reading {
        var held = 0, growth = 0
        for row in batch.slots {
            guard let row else { continue }
            held += row.blockTable.count + row.reserved + row.padding.count
            growth += max(0, blocksWanted(by: row) - row.reserved)
        }
        let coming = parked.values.reduce(0) { $0 + ($1.isStoring ? $1.row.blockTable.count + $1.row.reserved : 0) }
        return BatchScale.Reading(
            rows: batch.count, heldBlocks: min(held, pool.referencedCount + pool.reservedCount), blockCount: pool.blockCount,
            shortfall: growth - pool.availableCount - coming, iterationTime: clock.average)
    }

    /// New blocks that a row writes to within the next iterations.
    private func blocksWanted(by row: DecodeRow) -> Int {
        let end = min(row.position + BatchScale.lookahead, row.promptCount + Int(row.stop.maxTokens))
        return max(0, configuration.geometry.blockCount(forTokens: end) - row.blockTable.count)
    }

    private enum Want { case blocks, memory }

    /// Parks the lowest-ranked of rows and line if the free blocks do not last, or memory is owed; never the first in
    /// rank. What could not be kept is not given up for this: that is left to the moment at which there is no other way.
    private mutating func parkLowest(for want: Want, into actions: inout [Action]) -> Bool {
        guard reading.shortfall > 0 || owesMemory, batch.count + ready.count > 1 else { return false }
        owesMemory = false
        guard let victim = lowestWhole, let tier = lot.tier(for: parkedByteCount(of: victim), sparingMemory: want == .memory),
            tier == .file || want == .blocks, let holding = holdings[victim.attempt.request]
        else { return false }
        switch holding.place {
        case .row(let slot): park(takeRow(slot), into: &actions)
        case .ready: park(ready.remove(at: readyIndex(of: holding.rank)), into: &actions)
        case .deferred, .transfer, .prompt, .parked: preconditionFailure("\(holding) is not whole")
        }
        return true
    }

    private var lowestWhole: DecodeRow? {
        let row = batch.slots.lazy.compactMap { $0 }.max { $0.rank < $1.rank }
        guard let last = ready.last, last.rank > row?.rank ?? last.rank || row == nil else { return row }
        return last
    }

    /// Nobody in batch or line comes before `rank`.
    func isFirst(_ rank: Rank) -> Bool {
        batch.slots.allSatisfy { $0.map { rank <= $0.rank } ?? true } && (ready.first.map { rank <= $0.rank } ?? true)
    }

    /// Whether a parked query that is to be resumed may come back now: when the batch has a row for it and enough of the
    /// pool would stay free; or else once nobody comes before it, so that it does not wait for ever.
    func mayReadmit(_ row: DecodeRow) -> Bool {
        guard !scale.isOff, !isFirst(row.rank) else { return true }
        let restoring = parked.values.reduce(0) { $0 + ($1.isRestoring ? 1 : 0) }
        let needed = configuration.geometry.blockCount(forTokens: row.position)
        let used = pool.referencedCount + pool.reservedCount + needed
        return batch.count + ready.count + restoring < scale.rowLimit
            && used * 100 <= scale.configuration.blocks.high * pool.blockCount
    }

    // MARK: Memory

    /// While memory is short, the pool takes none that it has not had, gives back what is free, and one row at each sample
    /// is parked in a file.
    mutating func note(_ memory: BatchScale.Memory, at now: Instant, into actions: inout [Action]) {
        scale.note(memory)
        pool.isFrozen = scale.isMemoryShort
        owesMemory = scale.isMemoryShort
        if scale.isMemoryShort {
            let growth = batch.slots.reduce(0) { $0 + ($1.map(blocksWanted) ?? 0) }
            let blocks = pool.refresh(keeping: growth, limit: Self.releaseLimit)
            guard !blocks.isEmpty else { return }
            counters.releasedBlocks += UInt64(blocks.count)
            actions.append(.releaseMemory(blocks))
        } else {
            takeDeferredGrants(at: now, into: &actions)
        }
    }
}

extension ParkedRow {
    var isRestoring: Bool { if case .restoring = state { true } else { false } }
}
