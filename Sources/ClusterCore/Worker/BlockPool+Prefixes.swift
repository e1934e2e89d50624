import Generation
import OrderedCollections

// What a pool remembers of the sequences whose KV it has held.
extension BlockPool {
    var cachesPrefixes: Bool { tree != nil }
    /// Tokens in a block; 1 if prefixes are not kept, where nobody asks.
    var blockSize: Int { tree?.blockSize ?? 1 }

    /// The longest known prefix of `tokens`.
    func match(_ tokens: ArraySlice<TokenID>, salt: String) -> PrefixTree.Match {
        tree?.match(tokens, salt: salt) ?? PrefixTree.Match()
    }

    /// Blocks for a sequence, as far as they are known shared with whoever else has them.
    struct Claim: Sendable, Hashable {
        /// Each with a reference of the claimant's.
        var blocks: [BlockID]
        /// First blocks that are others' too.
        var sharedCount = 0
        /// First tokens whose KV is there, once ``copy`` is done.
        var tokenCount = 0
        /// To be done before anything is computed, in the order of claims.
        var copy: Copy?

        struct Copy: Sendable, Hashable {
            var source: BlockID
            var target: BlockID
        }
    }

    /// Claims `blockCount` blocks for a sequence that begins with `tokens`, and sets `reserving` more aside; all or nothing.
    /// Of `tokens` whole blocks are shared and the part of one after them is copied. From now on none of them is evicted:
    /// a reference is all there is to a lease on a prefix.
    mutating func claim(
        _ blockCount: Int, reserving: Int = 0, for tokens: ArraySlice<TokenID>, salt: String, copiesPart: Bool = true
    ) throws(BlockPoolExhausted) -> Claim {
        guard let blockSize = tree?.blockSize, !tokens.isEmpty else {
            return Claim(blocks: try allocate(blockCount, reserving: reserving))
        }
        var match = match(tokens, salt: salt)
        if !copiesPart { match.partial = nil }
        for block in match.blocks { hold(block) }
        if let partial = match.partial { hold(partial.block) }
        let newCount = blockCount - match.blocks.count
        var new = try? allocate(newCount, reserving: reserving)
        if new == nil, let partial = match.partial {
            // The very block may be what is missing.
            release(partial.block)
            match.partial = nil
            new = try? allocate(newCount, reserving: reserving)
        }
        guard let new else {
            release(match.blocks)
            throw BlockPoolExhausted(wanted: newCount + reserving, available: availableCount)
        }
        for block in match.blocks { tree?.noteHit(block) }
        var claim = Claim(
            blocks: match.blocks + new, sharedCount: match.blocks.count, tokenCount: match.blocks.count * blockSize)
        if let partial = match.partial, let target = new.first {
            claim.tokenCount += partial.count
            claim.copy = Claim.Copy(source: partial.block, target: target)
            tree?.noteHit(partial.block)
        }
        // Whoever is given it next writes to it only after the copy.
        if let partial = match.partial { release(partial.block) }
        return claim
    }

    /// Looks again, for a sequence of which nothing is computed: more may be known by now than when its blocks were claimed.
    mutating func improve(_ claim: inout Claim, for tokens: ArraySlice<TokenID>, salt: String) {
        guard let blockSize = tree?.blockSize, !tokens.isEmpty else { return }
        let match = match(tokens, salt: salt)
        let known = match.blocks.count * blockSize + (match.partial?.count ?? 0)
        guard known > claim.tokenCount, match.blocks.count <= claim.blocks.count else { return }
        for (index, block) in match.blocks.enumerated() where claim.blocks[index] != block {
            hold(block)
            release(claim.blocks[index])
            claim.blocks[index] = block
            tree?.noteHit(block)
        }
        (claim.sharedCount, claim.tokenCount, claim.copy) = (match.blocks.count, known, nil)
        guard let partial = match.partial, match.blocks.count < claim.blocks.count else {
            claim.tokenCount = match.blocks.count * blockSize
            return
        }
        claim.copy = Claim.Copy(source: partial.block, target: claim.blocks[match.blocks.count])
        tree?.noteHit(partial.block)
    }

    /// A claim's tokens are to be computed: those that were looked for, and those that were found.
    mutating func countQuery(_ tokenCount: Int, _ claim: Claim) {
        guard let tree else { return }
        prefixCounters.queriedTokens += UInt64(tokenCount)
        var level = 0, deeper = 0
        for block in claim.blocks.prefix(claim.sharedCount) {
            level = deeper
            prefixCounters.noteHits(tree.blockSize, level: level)
            if tree.branches(after: block) { deeper += 1 }
        }
        // The part of a block that fits lies before the place where it differs.
        prefixCounters.noteHits(max(0, claim.tokenCount - claim.sharedCount * tree.blockSize), level: level)
    }

    /// Remembers that `blocks` hold the KV of `tokens`, as far as these reach. Where the tree has a whole block with the same
    /// tokens already, that one takes the place of the caller's, whose reference moves along: equal tokens have equal KV,
    /// bit for bit, and once is enough. So whoever refers to a block of the tree refers to all before it.
    mutating func keep(_ tokens: ArraySlice<TokenID>, in blocks: inout [BlockID], salt: String) {
        guard let blockSize = tree?.blockSize else { return }
        var rest = tokens, place = PrefixTree.Place.root(salt: salt)
        for index in blocks.indices {
            let part = rest.prefix(blockSize)
            guard !part.isEmpty, keep(part, in: &blocks[index], at: place), part.count == blockSize else { return }
            place = .block(blocks[index])
            rest = rest.dropFirst(blockSize)
        }
    }

    /// - Returns: whether the tree has them in `block` now.
    private mutating func keep(
        _ tokens: ArraySlice<TokenID>, in block: inout BlockID, at place: PrefixTree.Place
    ) -> Bool {
        switch tree?.child(of: place, holding: tokens) {
        case nil, .longer: return false
        case .exact(let known):
            guard known != block else { return true }
            guard tokens.count == tree?.blockSize else { return false }
            // What is set aside for others must stay available.
            guard referenceCount(of: known) > 0 || referenceCount(of: block) == 1 || availableCount > 0 else { return false }
            hold(known)
            release(block)
            block = known
        case .absent:
            if tree?.contains(block) == true {
                guard tree?.place(of: block) == place, tree.map({ tokens.starts(with: $0.tokens(in: block)) }) == true
                else { return false }
                tree?.extend(block, to: tokens)
            } else {
                if let shorter = tree?.idleBeginning(of: tokens, at: place) { forget(shorter) }
                tree?.add(block, holding: tokens, at: place)
            }
        }
        return true
    }

    /// What has changed since the last call.
    mutating func takePrefixChanges() -> PrefixChanges? { tree?.takeChanges() }

    // MARK: Groups

    /// The whole blocks of a group's prefix stay, whatever happens to those who refer to them, until the group is over. The
    /// first to say so decides: later members have the same blocks.
    /// - Parameter blocks: of the group's prefix, in order; referenced.
    mutating func pin(_ blocks: ArraySlice<BlockID>, for group: GroupID) {
        guard tree != nil else { return }
        let known = pins[group]?.count ?? 0
        guard blocks.count > known else { return }
        retain(blocks.dropFirst(known))
        pins[group, default: []] += blocks.dropFirst(known)
    }

    mutating func unpin(_ group: GroupID) {
        if let blocks = pins.removeValue(forKey: group) { release(blocks) }
    }

    /// Gives the pins up that were made last, until so many blocks are available or none is left: only for somebody who
    /// would have to be turned away otherwise.
    /// - Returns: whether any were given up.
    @discardableResult
    mutating func unpin(for count: Int) -> Bool {
        var hasChanged = false
        while availableCount < count, let group = pins.keys.last {
            prefixCounters.prematureEvictions += UInt64(pins[group]?.count ?? 0)
            unpin(group)
            hasChanged = true
        }
        return hasChanged
    }

    /// References that pins hold.
    var pinnedReferences: Int { pins.values.reduce(0) { $0 + $1.count } }

    /// Blocks that stay only for groups.
    var idlePinnedCount: Int {
        var holders: [BlockID: Int] = [:]
        for blocks in pins.values { for block in blocks { holders[block, default: 0] += 1 } }
        return holders.count { $0.value == referenceCount(of: $0.key) }
    }

    var prefixCacheCounters: PrefixCacheCounters {
        var counters = prefixCounters
        counters.cachedBlocks = cachedCount
        counters.pinnedBlocks = pinnedReferences
        return counters
    }

    func checkPrefixes() {
        guard let tree else { return }
        tree.checkInvariants()
        for index in 0..<UInt32(blockCount) where tree.contains(BlockID(index)) {
            let isReferenced = referenceCount(of: BlockID(index)) > 0
            precondition(isReferenced != tree.isIdle(BlockID(index)), "b\(index) is idle and referenced, or neither")
        }
    }
}
