/// The KV blocks of one worker: who may use which, and how many are left.
///
/// Blocks are reference-counted and copied on write. The block freed last is handed out first, as it is most likely
/// still in a cache. A number of free blocks can be set aside without naming them, so that a query may grow later.
public struct BlockPool: Sendable {
    public let blockCount: Int
    /// Free blocks that are promised to somebody.
    public private(set) var reservedCount = 0

    private var references: [UInt32]
    /// Last one out first; at the start the lowest number.
    private var free: [BlockID]

    public init(blockCount: Int) {
        precondition(blockCount > 0 && blockCount <= Int(UInt32.max), "a pool of \(blockCount) blocks")
        self.blockCount = blockCount
        references = Array(repeating: 0, count: blockCount)
        free = (0..<UInt32(blockCount)).reversed().map { BlockID($0) }
    }

    public var freeCount: Int { free.count }
    public var referencedCount: Int { blockCount - free.count }
    /// Free and not promised to anybody.
    public var availableCount: Int { free.count - reservedCount }

    public func referenceCount(of block: BlockID) -> Int { Int(references[index(of: block)]) }

    /// Takes `count` blocks, each with one reference.
    public mutating func allocate(_ count: Int) throws(BlockPoolExhausted) -> [BlockID] {
        precondition(count >= 0, "allocation of \(count) blocks")
        guard count <= availableCount else { throw BlockPoolExhausted(wanted: count, available: availableCount) }
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

    /// Takes one block out of those set aside; cannot fail.
    public mutating func allocateReserved() -> BlockID {
        precondition(reservedCount > 0, "no block is reserved in \(self)")
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
        if references[index] == 0 { free.append(block) }
    }

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
    public mutating func writable(_ block: BlockID) throws(BlockPoolExhausted) -> Writable {
        let index = index(of: block)
        precondition(references[index] > 0, "\(block) is to be written but free")
        guard references[index] > 1 else { return .inPlace }
        guard availableCount > 0 else { throw BlockPoolExhausted(wanted: 1, available: 0) }
        references[index] -= 1
        return .copy(to: take())
    }

    public func checkInvariants() {
        precondition(
            reservedCount >= 0 && reservedCount <= free.count, "\(reservedCount) reserved of \(free.count) free")
        var isFree = Array(repeating: false, count: blockCount)
        for block in free {
            precondition(!isFree[index(of: block)], "\(block) is free twice")
            isFree[index(of: block)] = true
        }
        for index in references.indices {
            precondition(isFree[index] == (references[index] == 0), "b\(index) has \(references[index]) references")
        }
    }

    private mutating func take() -> BlockID {
        guard let block = free.popLast() else { preconditionFailure("no free block in \(self)") }
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
        "\(referencedCount) referenced, \(freeCount) free (\(reservedCount) reserved) of \(blockCount) blocks"
    }
}

public struct BlockPoolExhausted: Error, Sendable, Hashable, CustomStringConvertible {
    public var wanted: Int
    public var available: Int
    public var description: String { "\(wanted) blocks wanted, \(available) available" }
}
