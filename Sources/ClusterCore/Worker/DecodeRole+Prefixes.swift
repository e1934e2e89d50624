import Generation
import OrderedCollections

// What queries have in common: their first blocks, which rows share, nobody sends twice, and the pool keeps for others.
extension DecodeRole {
    /// Blocks for a query's KV, those that are known shared. Where KV arrives, only whole blocks are: a part of one has to
    /// be sent anyway.
    mutating func claim(_ count: Int, reserving: Int, for order: SequenceOrder) -> BlockPool.Claim? {
        let known = computesPrompts ? order.tokens.prefix(max(0, order.reusableCount)) : order.tokens[...]
        func claim() -> BlockPool.Claim? {
            try? pool.claim(count, reserving: reserving, for: known, salt: order.cacheSalt, copiesPart: false)
        }
        var claimed = claim()
        // What groups keep goes only where the query would be turned away otherwise.
        if claimed == nil, !canWait(order.rank), pool.unpin(for: count + reserving) { claimed = claim() }
        if let claimed, !computesPrompts, pool.cachesPrefixes {
            pool.prefixCounters.transferBlocks += UInt64(claimed.blocks.count)
            pool.prefixCounters.heldBlocks += UInt64(claimed.sharedCount)
        }
        return claimed
    }

    mutating func keepPrefix(of query: inout DecodeQuery, upTo count: Int) {
        query.keepPrefix(upTo: count, in: &pool)
    }

    /// A row leaves: what it has computed of its answer is known as well. Its last token has no KV yet.
    mutating func keepPrefix(of row: inout DecodeRow) {
        guard pool.cachesPrefixes else { return }
        pool.keep(row.tokens.prefix(row.position), in: &row.blockTable, salt: row.cacheSalt)
    }

    mutating func reportPrefixes(into actions: inout [Action]) {
        if let changes = pool.takePrefixChanges() { actions.append(.report(.prefixesChanged(changes))) }
    }
}

extension DecodeQuery {
    /// The KV of the first `count` tokens is there: whole blocks of it become known, and all of it once it is whole.
    mutating func keepPrefix(upTo count: Int, in pool: inout BlockPool) {
        computed = max(computed, count)
        guard pool.cachesPrefixes else { return }
        let kept = count == order.tokens.count ? count : count / pool.blockSize * pool.blockSize
        pool.keep(order.tokens.prefix(kept), in: &blocks, salt: order.cacheSalt)
        guard let group = order.group else { return }
        pool.pin(blocks.prefix(min(group.prefixCount, count) / pool.blockSize), for: group.group)
    }
}
