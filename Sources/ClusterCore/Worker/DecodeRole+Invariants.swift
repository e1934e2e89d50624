import DequeModule
import Generation
import OrderedCollections

// What must hold after every event: everything held is in one place, and every block is accounted for.
extension DecodeRole {
    public func checkInvariants() {
        pool.checkInvariants()
        batch.checkInvariants()
        scale.checkInvariants()
        ended.checkInvariants()
        var references = pool.pinnedReferences, reserved = 0, held = deferred.count
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
