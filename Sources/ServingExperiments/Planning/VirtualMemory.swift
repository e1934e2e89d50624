/// The KV blocks of an engine in virtual time: blocks of one row, and named ones that rows share. Named blocks that nobody uses stay
/// until their memory is needed; the least recently used goes first.
struct VirtualMemory {
    let capacity: Int
    private(set) var privateCount = 0
    /// Most blocks that were in use at once, unused named ones apart.
    private(set) var peak = 0
    /// Named blocks that gave way, and those of them that several prompts have and one still to come would have used.
    private(set) var evictions = 0
    private(set) var prematureEvictions = 0

    private enum State {
        case absent
        case used(Int)
        case unused
    }

    private var states: [State]
    private var usedCount = 0
    private var unusedCount = 0
    /// Prompts still to begin that have the block, and whether several prompts of the job do.
    private var awaited: [Int]
    private let isShared: [Bool]
    // Unused named blocks from the least to the most recently used, as a ring: the last element is its anchor.
    private var after: [Int]
    private var before: [Int]

    private var anchor: Int { states.count }

    /// - Parameter users: for each name how many prompts have it.
    init(capacity: Int, users: [Int]) {
        self.capacity = capacity
        states = Array(repeating: .absent, count: users.count)
        awaited = users
        isShared = users.map { $0 > 1 }
        after = Array(0...users.count)
        before = after
    }

    private var inUse: Int { privateCount + usedCount }

    // MARK: Blocks of one row

    /// All or nothing.
    mutating func takePrivate(_ count: Int) -> Bool {
        guard inUse + count <= capacity else { return false }
        privateCount += count
        makeRoom()
        return true
    }

    mutating func freePrivate(_ count: Int) { privateCount -= count }

    // MARK: Named blocks

    /// How many of the names, from the first on, are here.
    func matchCount(_ names: some Sequence<Int>) -> Int {
        var count = 0
        for name in names {
            if case .absent = states[name] { break }
            count += 1
        }
        return count
    }

    /// One more user of a block that is here.
    mutating func use(_ name: Int) {
        switch states[name] {
        case .absent: preconditionFailure("block \(name) is not here")
        case .used(let count): states[name] = .used(count + 1)
        case .unused:
            unlink(name)
            states[name] = .used(1)
            usedCount += 1
        }
        peak = max(peak, inUse)
    }

    /// A row's own block gets a name, and is shared from now on.
    /// - Returns: `false` if another block has the name already.
    mutating func publish(_ name: Int) -> Bool {
        guard case .absent = states[name] else { return false }
        privateCount -= 1
        usedCount += 1
        states[name] = .used(1)
        return true
    }

    mutating func release(_ name: Int) {
        guard case .used(let count) = states[name] else { preconditionFailure("block \(name) is not in use") }
        guard count == 1 else {
            states[name] = .used(count - 1)
            return
        }
        usedCount -= 1
        states[name] = .unused
        link(name)
    }

    /// A prompt with these blocks has begun: it is not to come any more.
    mutating func noteBegin(_ names: some Sequence<Int>) {
        for name in names { awaited[name] -= 1 }
    }

    /// It has been sent back, and will begin again.
    mutating func noteReturn(_ names: some Sequence<Int>) {
        for name in names { awaited[name] += 1 }
    }

    private mutating func makeRoom() {
        peak = max(peak, inUse)
        while inUse + unusedCount > capacity, after[anchor] != anchor {
            let name = after[anchor]
            unlink(name)
            states[name] = .absent
            evictions += 1
            if isShared[name], awaited[name] > 0 { prematureEvictions += 1 }
        }
    }

    private mutating func link(_ name: Int) {
        let last = before[anchor]
        (after[last], before[name], after[name], before[anchor]) = (name, last, anchor, name)
        unusedCount += 1
    }

    private mutating func unlink(_ name: Int) {
        (after[before[name]], before[after[name]]) = (after[name], before[name])
        unusedCount -= 1
    }
}
