import DequeModule

/// Where prefixes lie, as far as the coordinator knows: which workers have told of a block, or were given a prompt with it.
///
/// It only guesses. Workers leave things out, evict before they say so, and two prefixes may share a name; whoever is sent
/// there compares tokens. Bounded: what was learned first is forgotten first, of names as of the workers that have one; a
/// prefix that more of them have is as good as everywhere.
struct PrefixIndex: Sendable {
    /// A worker slot, in one of its registrations.
    private struct Holder: Sendable, Hashable {
        var slot: UInt32
        var generation: UInt32
    }

    /// Workers remembered for a name.
    static let holderLimit = 8

    private let capacity: Int
    private var holders: [PrefixName: [Holder]] = [:]
    /// Names in `holders`, in the order in which they came; some twice.
    private var order: Deque<PrefixName> = []
    /// By worker slot.
    private var generations: [UInt32] = []

    init(capacity: Int) {
        precondition(capacity > 0, "an index of \(capacity) names")
        self.capacity = capacity
    }

    var count: Int { holders.count }

    mutating func insert(_ names: some Sequence<PrefixName>, at slot: Int) {
        let holder = holder(slot)
        for name in names {
            if holders[name] == nil {
                makeRoom()
                order.append(name)
                holders[name] = [holder]
            } else if holders[name]?.contains(holder) == false {
                if holders[name]?.count == Self.holderLimit { holders[name]?.removeFirst() }
                holders[name]?.append(holder)
            }
        }
    }

    mutating func remove(_ names: some Sequence<PrefixName>, at slot: Int) {
        let holder = holder(slot)
        for name in names {
            guard let index = holders[name]?.firstIndex(of: holder) else { continue }
            holders[name]?.remove(at: index)
            if holders[name]?.isEmpty == true { holders[name] = nil }
        }
    }

    /// Whatever a worker slot had is gone.
    mutating func clear(_ slot: Int) {
        _ = holder(slot)
        generations[slot] &+= 1
    }

    /// Workers that may have the first of `names`, with how many of them in a row; in order of slots.
    func matches(_ names: [PrefixName]) -> [(slot: Int, count: Int)] {
        guard let first = names.first else { return [] }
        var going = current(holders[first]), found: [(slot: Int, count: Int)] = []
        var count = 1
        while !going.isEmpty {
            let next = count < names.count ? current(holders[names[count]]) : []
            for holder in going where !next.contains(holder) { found.append((Int(holder.slot), count)) }
            going = going.filter { next.contains($0) }
            count += 1
        }
        return found.sorted { $0.slot < $1.slot }
    }

    private func current(_ holders: [Holder]?) -> [Holder] {
        (holders ?? []).filter { generations[Int($0.slot)] == $0.generation }
    }

    private mutating func holder(_ slot: Int) -> Holder {
        while generations.count <= slot { generations.append(0) }
        return Holder(slot: UInt32(slot), generation: generations[slot])
    }

    private mutating func makeRoom() {
        while holders.count >= capacity || order.count >= 2 * capacity, let oldest = order.popFirst() { holders[oldest] = nil }
    }
}

/// Blocks of prompts that several queries of one decode worker share: each counts once there.
struct SharedBlocks: Sendable {
    private var uses: [PrefixName: Int] = [:]
    /// Uses beyond the first of each block.
    private(set) var savedCount = 0

    mutating func insert(_ names: [PrefixName]) {
        for name in names {
            let count = uses[name, default: 0]
            savedCount += count > 0 ? 1 : 0
            uses[name] = count + 1
        }
    }

    mutating func remove(_ names: [PrefixName]) {
        for name in names {
            guard let count = uses[name] else { preconditionFailure("\(name) is not in use") }
            savedCount -= count > 1 ? 1 : 0
            uses[name] = count > 1 ? count - 1 : nil
        }
    }

    /// How many first blocks somebody uses already.
    func overlap(_ names: [PrefixName]) -> Int { names.prefix { uses[$0] != nil }.count }

    var isEmpty: Bool { uses.isEmpty }
}
