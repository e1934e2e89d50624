import Generation
import OrderedCollections

// What prompts have in common: found, waited for, computed once and kept.
extension PrefillRole {
    /// Takes references to what is known of a prompt that has to wait for its turn, so that it is not evicted meanwhile.
    mutating func lease(_ order: SequenceOrder) -> [BlockID] {
        let blocks = pool.match(order.tokens.prefix(max(0, order.reusableCount)), salt: order.cacheSalt).blocks
        for block in blocks { pool.hold(block) }
        return blocks
    }

    /// Blocks for the whole prompt. Others that wait give their leases up rather than keep it waiting: they would wait for
    /// it in turn. What groups keep goes last, and only if nobody works here who could make room.
    mutating func claim(_ tokenCount: Int, for order: SequenceOrder) -> BlockPool.Claim? {
        let request = order.attempt.request
        endLease(of: request)
        if let claim = tryClaim(tokenCount, for: order) { return claim }
        for other in Array(sequences.keys) { endLease(of: other) }
        if let claim = tryClaim(tokenCount, for: order) { return claim }
        guard placesTaken == 0, leases.isEmpty, running == nil else { return nil }
        pool.unpin(for: configuration.geometry.blockCount(forTokens: tokenCount))
        return tryClaim(tokenCount, for: order)
    }

    private mutating func tryClaim(_ tokenCount: Int, for order: SequenceOrder) -> BlockPool.Claim? {
        try? pool.claim(
            configuration.geometry.blockCount(forTokens: tokenCount),
            for: order.tokens.prefix(max(0, order.reusableCount)), salt: order.cacheSalt)
    }

    private mutating func endLease(of request: RequestID) {
        guard let leased = sequences[request]?.leased, !leased.isEmpty else { return }
        sequences[request]?.leased = []
        pool.release(leased)
    }

    /// Whether a prompt that goes first is still computing blocks that this one begins with.
    func awaitsAnother(_ order: SequenceOrder) -> Bool {
        guard pool.cachesPrefixes else { return false }
        let blockSize = configuration.geometry.blockSize
        return sequences.values.contains { other in
            guard other.hasBegun, other.first == nil, other.rank < order.rank, other.order.cacheSalt == order.cacheSalt
            else { return false }
            let common = order.commonReusableCount(with: other.order) / blockSize * blockSize
            return common > other.computed
        }
    }

    /// What is computed of a prompt becomes known: whole blocks while it goes on, all of it in the end.
    mutating func keepPrefix(of request: RequestID, upTo computed: Int) {
        guard let index = sequences.index(forKey: request) else { return }
        sequences.values[index].computed = computed
        guard pool.cachesPrefixes else { return }
        let order = sequences.values[index].order, blockSize = configuration.geometry.blockSize
        let count = computed == order.tokens.count ? computed : computed / blockSize * blockSize
        pool.keep(order.tokens.prefix(count), in: &sequences.values[index].blocks, salt: order.cacheSalt)
        guard let group = order.group else { return }
        let pinned = min(group.prefixCount, computed) / blockSize
        pool.pin(sequences.values[index].blocks.prefix(pinned), for: group.group)
    }
}

extension SequenceOrder {
    /// First tokens that this sequence could reuse and the other one has too.
    func commonReusableCount(with other: SequenceOrder) -> Int {
        let limit = min(max(0, reusableCount), other.tokens.count)
        var count = 0
        while count < limit, tokens[count] == other.tokens[count] { count += 1 }
        return count
    }
}
