import DequeModule
import Generation
import OrderedCollections

// Who makes room for whom at the boundary between two iterations: rows for more urgent queries, blocks for rows that grow.
extension DecodeRole {
    /// What happens between two iterations.
    struct Boundary {
        var actions: [Action] = []
        /// Those that would give way, the first one last. Ranked once, when the pool runs out.
        var victims: [Rank]?
    }

    func lowestHolding(at boundary: inout Boundary) -> Holding {
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

    /// Frees a query's blocks: at once if its KV is not whole, else as soon as the store has copied them.
    mutating func giveWay(_ victim: Holding, at boundary: inout Boundary) {
        switch victim.place {
        case .row(let slot): park(takeRow(slot), into: &boundary.actions)
        case .ready: park(ready.remove(at: readyIndex(of: victim.rank)), into: &boundary.actions)
        case .deferred, .transfer, .prompt, .parked:
            counters.evictions += 1
            fail(victim, .evicted, into: &boundary.actions)
        }
    }

    mutating func parkPreempted(at boundary: inout Boundary) {
        for slot in batch.slots.indices where batch.slots[slot]?.isPreempted == true {
            park(takeRow(slot), into: &boundary.actions)
        }
    }

    /// A row for the first in line: a free one, or that of a less urgent query, which is parked.
    mutating func makeRow(for row: DecodeRow, at boundary: inout Boundary) -> Bool {
        guard batch.count >= scale.rowLimit else { return true }
        guard let lowest = leastValuable(of: batch.slots.compactMap { $0?.rank }, for: row.rank),
            let holding = holdings[lowest.request]
        else { return false }
        boundary.victims = nil
        giveWay(holding, at: &boundary)
        return true
    }

    /// Whose row a query of `rank` may have; `nil` if it has to wait for a free one.
    private func leastValuable(of rows: [Rank], for rank: Rank) -> Rank? {
        configuration.displaces ? rows.filter(rank.mayDisplace).max() : nil
    }

    /// Prompts, from the first in line on, for which ``makeRow(for:at:)`` would find a row if they were whole. Queries that
    /// are whole go before them.
    var promptsWithRow: Int {
        var rows = batch.slots.compactMap { $0?.rank }
        func takesRow(_ rank: Rank) -> Bool {
            if rows.count >= scale.rowLimit {
                guard let lowest = leastValuable(of: rows, for: rank) else { return false }
                rows.removeAll { $0 == lowest }
            }
            rows.append(rank)
            return true
        }
        for row in ready { _ = takesRow(row.rank) }
        return prompts.ranks.sorted().prefix(while: takesRow).count
    }

    /// Blocks for granted queries that wait for them: those of less urgent ones.
    mutating func displaceForDeferred(at boundary: inout Boundary) {
        guard configuration.displaces else { return }
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
}
