import OrderedCollections

/// The KV blocks of one worker: who may use which, and how many are left.
///
/// Blocks are reference-counted and copied on write. The block freed last is handed out first, as it is most likely
/// still in a cache. A number of free blocks can be set aside without naming them, so that a query may grow later.
///
/// Memory is the system's until a block is first written. Such *fresh* blocks are handed out last, and not at all while
/// the pool is frozen because memory is short; free blocks become fresh again when their memory is given back.
///
/// With a ``PrefixTree``, blocks whose contents others may want stay *cached* after their last reference: neither free nor
/// referenced, they count as available and are evicted when nothing else is left (`BlockPool+Prefixes.swift`).
public struct BlockPool: Sendable {
    public let blockCount: Int
    /// Free blocks that are promised to somebody.
    public private(set) var reservedCount = 0

    /// Fresh blocks stay what they are. Only a pool of which nothing is used gives some out even then, or nobody could begin.
    public var isFrozen = false

    private var references: [UInt32]
    /// `nil`: nothing is kept after its last reference.
    var tree: PrefixTree?
    var prefixCounters = PrefixCacheCounters()
    /// Blocks that stay for groups, each with a reference for that; in the order in which they were pinned.
    var pins: OrderedDictionary<GroupID, [BlockID]> = [:]
    /// That have memory; last one out first.
    private var free: [BlockID] = []
    /// That have none; last one out first, at the start the lowest number.
    private var fresh: [BlockID]

    /// - Parameter blockSize: tokens in a block, if prefixes are to be kept.
    public init(blockCount: Int, cachingBlocksOf blockSize: Int? = nil) {
        precondition(blockCount > 0 && blockCount <= Int(UInt32.max), "a pool of \(blockCount) blocks")
        self.blockCount = blockCount
        references = Array(repeating: 0, count: blockCount)
        tree = blockSize.map { PrefixTree(blockCount: blockCount, blockSize: $0) }
        fresh = (0..<UInt32(blockCount)).reversed().map { BlockID($0) }
    }

    public var freeCount: Int { free.count + fresh.count }
    public var freshCount: Int { fresh.count }
    /// Unreferenced blocks that hold a prefix.
    public var cachedCount: Int { tree?.idleCount ?? 0 }
    public var referencedCount: Int { blockCount - freeCount - cachedCount }
    /// Free or cached, not promised to anybody, and not withheld.
    public var availableCount: Int { availableCount(touchingFresh: false) }

    private func availableCount(touchingFresh: Bool) -> Int {
        let isWithheld = isFrozen && !touchingFresh && referencedCount > 0
        // Others may have been promised blocks that are withheld now.
        return isWithheld ? max(0, free.count + cachedCount - reservedCount) : freeCount + cachedCount - reservedCount
    }

    public func referenceCount(of block: BlockID) -> Int { Int(references[index(of: block)]) }

    /// Takes `count` blocks, each with one reference, and sets `reserving` more aside; all or nothing.
    /// - Parameter touchingFresh: fresh ones too, frozen or not.
    public mutating func allocate(
        _ count: Int, reserving: Int = 0, touchingFresh: Bool = false
    ) throws(BlockPoolExhausted) -> [BlockID] {
        precondition(count >= 0 && reserving >= 0, "allocation of \(count) + \(reserving) blocks")
        let available = availableCount(touchingFresh: touchingFresh)
        guard count + reserving <= available else {
            throw BlockPoolExhausted(wanted: count + reserving, available: available)
        }
        reservedCount += reserving
        return (0..<count).map { _ in take() }
    }

    /// Sets `count` free blocks aside.
    public mutating func reserve(_ count: Int) throws(BlockPoolExhausted) {
        precondition(count >= 0, "reservation of \(count) blocks")
        guard count <= availableCount else { throw BlockPoolExhausted(wanted: count, available: availableCount) }
        reservedCount += count
    }

    public mutating func unreserve(_ count: Int) {
        precondition(count >= 0 && count <= reservedCount, "\(count) of \(reservedCount) reserved blocks returned")
        reservedCount -= count
    }

    /// Takes one block out of those set aside; `nil` only while all that are free are withheld.
    public mutating func allocateReserved(touchingFresh: Bool = false) -> BlockID? {
        precondition(reservedCount > 0, "no block is reserved in \(self)")
        if isFrozen, !touchingFresh, free.isEmpty, cachedCount == 0, referencedCount > 0 { return nil }
        reservedCount -= 1
        return take()
    }

    public mutating func retain(_ block: BlockID) {
        let index = index(of: block)
        precondition(references[index] > 0 && references[index] < .max, "\(block) has \(references[index]) references")
        references[index] += 1
    }

    public mutating func retain(_ blocks: some Sequence<BlockID>) {
        for block in blocks { retain(block) }
    }

    /// Gives one reference back; the last one frees the block.
    public mutating func release(_ block: BlockID) {
        let index = index(of: block)
        precondition(references[index] > 0, "\(block) is released but free")
        references[index] -= 1
        guard references[index] == 0 else { return }
        if tree?.contains(block) == true { tree?.setIdle(block, true) } else { free.append(block) }
    }

    /// Makes sure that a block in the tree stays; one that nobody referred to becomes referenced.
    mutating func hold(_ block: BlockID) {
        guard references[index(of: block)] == 0 else { return retain(block) }
        tree?.setIdle(block, false)
        references[index(of: block)] = 1
    }

    /// Takes what the tree gives up.
    mutating func evict() -> Bool {
        guard let blocks = tree?.evict(), !blocks.isEmpty else { return false }
        prefixCounters.evictions += UInt64(blocks.count)
        free += blocks.reversed()
        return true
    }

    /// Takes an idle block out of the tree.
    mutating func forget(_ block: BlockID) { free += tree?.remove(block) ?? [] }

    /// Releases from the last to the first, so that the next allocation takes them in the same order again.
    public mutating func release(_ blocks: some BidirectionalCollection<BlockID>) {
        for block in blocks.reversed() { release(block) }
    }

    public enum Writable: Sendable, Hashable {
        case inPlace
        /// The block is shared: write to this one instead, after copying the contents. The caller's reference has
        /// moved along.
        case copy(to: BlockID)
    }

    /// Makes sure that a reference holder may write to `block` without anybody else noticing.
    public mutating func writable(
        _ block: BlockID, touchingFresh: Bool = false
    ) throws(BlockPoolExhausted) -> Writable {
        let index = index(of: block)
        precondition(references[index] > 0, "\(block) is to be written but free")
        guard references[index] > 1 else { return .inPlace }
        guard availableCount(touchingFresh: touchingFresh) > 0 else { throw BlockPoolExhausted(wanted: 1, available: 0) }
        references[index] -= 1
        return .copy(to: take())
    }

    /// Makes free blocks fresh, those that have been free for longest first, and cached ones when these do not suffice: at
    /// most `limit`, and `keeping` stay as they are.
    /// Their memory is the caller's to give back, before any of them is handed out again.
    public mutating func refresh(keeping: Int, limit: Int) -> [BlockID] {
        while free.count < max(0, keeping) + limit, evict() {}
        let count = max(0, min(limit, free.count - max(0, keeping)))
        let blocks = Array(free.prefix(count))
        free.removeFirst(count)
        fresh += blocks.reversed()
        return blocks
    }

    public func checkInvariants() {
        precondition(
            reservedCount >= 0 && reservedCount <= freeCount + cachedCount,
            "\(reservedCount) reserved of \(freeCount) free and \(cachedCount) cached")
        var isFree = Array(repeating: false, count: blockCount)
        for block in free + fresh {
            precondition(!isFree[index(of: block)], "\(block) is free twice")
            isFree[index(of: block)] = true
        }
        for index in references.indices {
            let isKept = tree?.contains(BlockID(UInt32(index))) ?? false
            precondition(!isFree[index] || !isKept, "b\(index) is free and cached")
            precondition(isKept || isFree[index] == (references[index] == 0), "b\(index) has \(references[index]) references")
        }
        checkPrefixes()
    }

    private mutating func take() -> BlockID {
        if free.isEmpty, isFrozen || fresh.isEmpty { _ = evict() }
        guard let block = free.popLast() ?? fresh.popLast() else { preconditionFailure("no free block in \(self)") }
        references[index(of: block)] = 1
        return block
    }

    private func index(of block: BlockID) -> Int {
        let index = Int(block.rawValue)
        precondition(index < blockCount, "\(block) in a pool of \(blockCount)")
        return index
    }
}

extension BlockPool: CustomStringConvertible {
    public var description: String {
        "\(referencedCount) referenced, \(cachedCount) cached, \(freeCount) free (\(reservedCount) reserved) of \(blockCount) blocks\(isFrozen ? ", frozen" : "")"
    }
}

public struct BlockPoolExhausted: Error, Sendable, Hashable, CustomStringConvertible {
    public var wanted: Int
    public var available: Int
    public var description: String { "\(wanted) blocks wanted, \(available) available" }
}
