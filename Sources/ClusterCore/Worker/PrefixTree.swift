import Generation
import HeapModule

/// Which blocks of a pool hold the KV of which tokens: a radix tree whose edges are blocks.
///
/// A node is a block and the tokens whose KV it holds, after those of its ancestors. Whole blocks may have children; a
/// block that is not full is a leaf. Children are kept in the order of their tokens, so that a look-up compares tokens and
/// nothing else: no two prefixes are ever taken for one another. Each salt has a tree of its own.
///
/// A block is *idle* while nobody refers to it. Idle blocks without children can be evicted, the one of least worth first:
/// worth is the tokens that the block saves, weighted by the logarithm of how often it has, on top of the worth at which
/// the last block was evicted (the aging of GreedyDual, as in Cherkasova's GDSF). So use and recency both count, nothing
/// stays for its past alone, and a look at the top of a heap finds the next.
struct PrefixTree: Sendable {
    enum Place: Sendable, Hashable {
        /// Before the first token.
        case root(salt: String)
        case block(BlockID)
    }

    /// What a look-up found of a sequence.
    struct Match: Sendable, Hashable {
        /// Whole blocks from the first token on, to be shared.
        var blocks: [BlockID] = []
        /// The block after them of which only a part fits, to be copied.
        var partial: Partial?

        struct Partial: Sendable, Hashable {
            var block: BlockID
            /// Tokens of it that fit, less than a block.
            var count: Int
        }
    }

    private struct Node: Sendable {
        var tokens: [TokenID]
        var place: Place
        var children: [BlockID] = []
        var name: PrefixName
        var isIdle = false
        var hits = 0
        var worth: UInt64
        /// Of its latest candidacy; older ones do not count.
        var candidacy: UInt64 = 0
    }

    /// An idle block without children, at the time when it became one.
    private struct Candidate: Sendable, Comparable {
        var worth: UInt64
        /// Unique, in order of time.
        var number: UInt64
        var block: BlockID

        static func < (a: Candidate, b: Candidate) -> Bool { (a.worth, a.number) < (b.worth, b.number) }
    }

    let blockSize: Int
    /// Blocks that nobody refers to.
    private(set) var idleCount = 0
    /// All blocks in the tree.
    private(set) var count = 0
    /// What has changed since it was last asked.
    private var changes = PrefixChanges()
    /// By block.
    private var nodes: [Node?]
    /// Children of the roots; for look-ups only.
    private var roots: [String: [BlockID]] = [:]
    private var candidates: Heap<Candidate> = []
    private var lastCandidacy: UInt64 = 0
    /// Worth of the last block that was evicted.
    private var age: UInt64 = 0

    init(blockCount: Int, blockSize: Int) {
        precondition(blockCount > 0 && blockSize > 0, "\(blockCount) blocks of \(blockSize) tokens")
        self.blockSize = blockSize
        nodes = Array(repeating: nil, count: blockCount)
    }

    func contains(_ block: BlockID) -> Bool { nodes[Int(block.rawValue)] != nil }
    func place(of block: BlockID) -> Place? { nodes[Int(block.rawValue)]?.place }
    /// Sequences that have this block in common differ in the next one.
    func branches(after block: BlockID) -> Bool { nodes[Int(block.rawValue)].map { $0.children.count > 1 } ?? false }
    func isIdle(_ block: BlockID) -> Bool { nodes[Int(block.rawValue)]?.isIdle ?? false }
    func tokens(in block: BlockID) -> [TokenID] { nodes[Int(block.rawValue)]?.tokens ?? [] }

    // MARK: Looking up

    /// The longest prefix of `tokens` that is here.
    func match(_ tokens: ArraySlice<TokenID>, salt: String) -> Match {
        var match = Match()
        var rest = tokens, place = Place.root(salt: salt)
        while !rest.isEmpty {
            let part = rest.prefix(blockSize), siblings = children(of: place)
            let index = position(of: part, among: siblings)
            if part.count == blockSize, index < siblings.count, node(siblings[index]).tokens.elementsEqual(part) {
                match.blocks.append(siblings[index])
                place = .block(siblings[index])
                rest = rest.dropFirst(blockSize)
                continue
            }
            // In an ordered list the longest common prefix is with a neighbour.
            for neighbour in siblings[max(0, index - 1)..<min(siblings.count, index + 1)] {
                let common = zip(node(neighbour).tokens, part).prefix { $0 == $1 }.count
                if common > match.partial?.count ?? 0 { match.partial = Match.Partial(block: neighbour, count: common) }
            }
            return match
        }
        return match
    }

    enum Child: Sendable, Hashable {
        /// It holds these tokens and no others.
        case exact(BlockID)
        /// It begins with these tokens.
        case longer(BlockID)
        case absent
    }

    func child(of place: Place, holding tokens: ArraySlice<TokenID>) -> Child {
        let siblings = children(of: place), index = position(of: tokens, among: siblings)
        guard index < siblings.count else { return .absent }
        let found = node(siblings[index]).tokens
        guard found.starts(with: tokens) else { return .absent }
        return found.count == tokens.count ? .exact(siblings[index]) : .longer(siblings[index])
    }

    /// An idle block at the same place that holds only the beginning of `tokens`: it is of no use beside one with all of them.
    func idleBeginning(of tokens: ArraySlice<TokenID>, at place: Place) -> BlockID? {
        let siblings = children(of: place), index = position(of: tokens, among: siblings)
        guard index > 0 else { return nil }
        let before = node(siblings[index - 1])
        return before.isIdle && before.tokens.count < tokens.count && tokens.starts(with: before.tokens) ? siblings[index - 1] : nil
    }

    // MARK: Changing

    /// A referenced block comes in. The place is that of a whole block, or a root.
    mutating func add(_ block: BlockID, holding tokens: ArraySlice<TokenID>, at place: Place) {
        precondition(!contains(block), "\(block) is in the tree")
        precondition(!tokens.isEmpty && tokens.count <= blockSize, "\(block) with \(tokens.count) tokens")
        let name = name(of: place).followed(by: tokens)
        nodes[Int(block.rawValue)] = Node(
            tokens: Array(tokens), place: place, name: name, worth: age + UInt64(tokens.count))
        link(block)
        count += 1
        if tokens.count == blockSize { note(stored: name) }
    }

    /// More tokens have been written to a block that was not full.
    mutating func extend(_ block: BlockID, to tokens: ArraySlice<TokenID>) {
        let former = node(block)
        precondition(
            former.tokens.count < tokens.count && tokens.starts(with: former.tokens) && tokens.count <= blockSize,
            "\(block) goes from \(former.tokens) to \(tokens)")
        unlink(block)
        let name = name(of: former.place).followed(by: tokens)
        nodes[Int(block.rawValue)]?.tokens = Array(tokens)
        nodes[Int(block.rawValue)]?.name = name
        link(block)
        if tokens.count == blockSize { note(stored: name) }
    }

    /// A block saved `tokens` tokens.
    mutating func noteHit(_ block: BlockID) {
        guard let node = nodes[Int(block.rawValue)] else { preconditionFailure("\(block) is not in the tree") }
        let hits = min(node.hits + 1, 1 << 20)
        nodes[Int(block.rawValue)]?.hits = hits
        nodes[Int(block.rawValue)]?.worth = age + UInt64(node.tokens.count * (Int.bitWidth - hits.leadingZeroBitCount + 1))
        if node.isIdle { nominate(block) }
    }

    mutating func setIdle(_ block: BlockID, _ isIdle: Bool) {
        precondition(node(block).isIdle != isIdle, "\(block) is \(isIdle ? "" : "not ")idle already")
        nodes[Int(block.rawValue)]?.isIdle = isIdle
        idleCount += isIdle ? 1 : -1
        if isIdle { nominate(block) }
    }

    /// Takes the idle block of least worth out, one without children if there is any.
    /// - Returns: the blocks that nobody refers to any more: that one first, and idle ones that came after it. Empty if
    ///   no block is idle.
    mutating func evict() -> [BlockID] {
        guard idleCount > 0 else { return [] }
        while let candidate = candidates.popMin() {
            guard isCurrent(candidate) else { continue }
            age = max(age, candidate.worth)
            return remove(candidate.block)
        }
        // Every idle block has others behind it that somebody refers to, such as a transport that still sends only those.
        let idle = nodes.indices.filter { nodes[$0]?.isIdle == true }.map { BlockID(UInt32($0)) }
        return idle.min { node($0).worth < node($1).worth }.map { remove($0) } ?? []
    }

    /// Takes a block out, and all after it, which nobody could find any more.
    /// - Returns: those of them that are idle, `block` first if it is.
    mutating func remove(_ block: BlockID) -> [BlockID] {
        let place = node(block).place
        unlink(block)
        var idle: [BlockID] = [], pending = [block]
        while let next = pending.popLast() {
            let node = node(next)
            pending += node.children
            if node.isIdle { idle.append(next) }
            idleCount -= node.isIdle ? 1 : 0
            count -= 1
            nodes[Int(next.rawValue)] = nil
            if node.tokens.count == blockSize { note(evicted: node.name) }
        }
        if case .block(let parent) = place, node(parent).isIdle { nominate(parent) }
        return idle
    }

    /// What has come and gone since the last call, as far as it was kept.
    mutating func takeChanges() -> PrefixChanges? {
        guard !changes.evicted.isEmpty || !changes.stored.isEmpty else { return nil }
        defer { changes = PrefixChanges() }
        return changes
    }

    // MARK: Details

    private func node(_ block: BlockID) -> Node {
        guard let node = nodes[Int(block.rawValue)] else { preconditionFailure("\(block) is not in the tree") }
        return node
    }

    private func children(of place: Place) -> [BlockID] {
        switch place {
        case .root(let salt): roots[salt] ?? []
        case .block(let block): nodes[Int(block.rawValue)]?.children ?? []
        }
    }

    private func name(of place: Place) -> PrefixName {
        switch place {
        case .root(let salt): PrefixName(salt: salt)
        case .block(let block): node(block).name
        }
    }

    /// Index of the first of `siblings` whose tokens do not come before `tokens`.
    private func position(of tokens: ArraySlice<TokenID>, among siblings: [BlockID]) -> Int {
        var low = 0, high = siblings.count
        while low < high {
            let middle = (low + high) / 2
            if node(siblings[middle]).tokens.lexicographicallyPrecedes(tokens) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func link(_ block: BlockID) {
        let node = node(block)
        let index = position(of: node.tokens[...], among: children(of: node.place))
        switch node.place {
        case .root(let salt): roots[salt, default: []].insert(block, at: index)
        case .block(let parent):
            precondition(self.node(parent).tokens.count == blockSize, "\(block) after \(parent), which is not full")
            nodes[Int(parent.rawValue)]?.children.insert(block, at: index)
        }
    }

    private mutating func unlink(_ block: BlockID) {
        let node = node(block)
        let index = position(of: node.tokens[...], among: children(of: node.place))
        switch node.place {
        case .root(let salt):
            roots[salt]?.remove(at: index)
            if roots[salt]?.isEmpty == true { roots[salt] = nil }
        case .block(let parent): nodes[Int(parent.rawValue)]?.children.remove(at: index)
        }
    }

    /// The block may be evicted from now on, if it has no children.
    private mutating func nominate(_ block: BlockID) {
        guard node(block).children.isEmpty else { return }
        lastCandidacy += 1
        nodes[Int(block.rawValue)]?.candidacy = lastCandidacy
        candidates.insert(Candidate(worth: node(block).worth, number: lastCandidacy, block: block))
        // Candidacies that do not count any more must not outnumber the others.
        guard candidates.count > 2 * idleCount + 64 else { return }
        candidates = Heap(candidates.unordered.filter(isCurrent))
    }

    private func isCurrent(_ candidate: Candidate) -> Bool {
        guard let node = nodes[Int(candidate.block.rawValue)] else { return false }
        return node.isIdle && node.children.isEmpty && node.candidacy == candidate.number
    }

    private mutating func note(stored name: PrefixName) {
        if changes.stored.count == PrefixChanges.maxCount { changes.stored.removeFirst(PrefixChanges.maxCount / 2) }
        changes.stored.append(name)
    }

    private mutating func note(evicted name: PrefixName) {
        if let last = changes.stored.lastIndex(of: name) { changes.stored.remove(at: last) }
        if changes.evicted.count == PrefixChanges.maxCount { changes.evicted.removeFirst(PrefixChanges.maxCount / 2) }
        changes.evicted.append(name)
    }

    func checkInvariants() {
        var seen = 0, idle = 0, evictable = 0
        for (index, node) in nodes.enumerated() {
            guard let node else { continue }
            let block = BlockID(UInt32(index))
            seen += 1
            idle += node.isIdle ? 1 : 0
            evictable += node.isIdle && node.children.isEmpty ? 1 : 0
            precondition(children(of: node.place).contains(block), "\(block) is not where it belongs")
            precondition(node.children.isEmpty || node.tokens.count == blockSize, "\(block) is not full")
            precondition(node.name == name(of: node.place).followed(by: node.tokens[...]), "\(block) has another name")
            for (child, next) in zip(node.children, node.children.dropFirst()) {
                precondition(self.node(child).tokens.lexicographicallyPrecedes(self.node(next).tokens), "\(child), \(next)")
            }
        }
        precondition(seen == count && idle == idleCount, "\(seen) blocks, \(idle) idle: \(count), \(idleCount)")
        precondition(candidates.unordered.filter(isCurrent).count == evictable, "\(evictable) blocks can be evicted")
    }
}

extension PrefixName {
    /// Of nothing, under a salt.
    init(salt: String) {
        var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
        for byte in salt.utf8 { hash = Self.mix(hash ^ UInt64(byte)) }
        self.init(Self.mix(hash ^ UInt64(salt.utf8.count)))
    }

    func followed(by tokens: ArraySlice<TokenID>) -> PrefixName {
        var hash = rawValue
        for token in tokens { hash = Self.mix(hash ^ UInt64(UInt32(bitPattern: token))) }
        return PrefixName(hash)
    }

    /// The whole blocks of `tokens`, in order.
    static func names(of tokens: ArraySlice<TokenID>, blockSize: Int, salt: String) -> [PrefixName] {
        var names: [PrefixName] = [], name = PrefixName(salt: salt), rest = tokens
        names.reserveCapacity(tokens.count / blockSize)
        while rest.count >= blockSize {
            name = name.followed(by: rest.prefix(blockSize))
            names.append(name)
            rest = rest.dropFirst(blockSize)
        }
        return names
    }

    /// A bijection of 64 bits in which each bit of the input moves half of those of the output (SplitMix64's).
    private static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value &+ 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
