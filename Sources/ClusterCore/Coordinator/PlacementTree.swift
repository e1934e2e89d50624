/// Finds the least loaded worker with enough room in logarithmic time: a tournament over worker slots.
struct PlacementTree: Sendable {
    /// What a worker can take. One that can take nothing makes no offer.
    struct Offer: Sendable, Hashable {
        var load: Int
        /// Decides among those of equal load.
        var past = 0
        /// Free blocks.
        var room: Int
        /// Tokens of the longest sequence that it could ever hold.
        var reach: Int
    }

    /// By what workers are compared.
    fileprivate struct Weight: Comparable {
        var load: Int
        var past: Int

        static func < (a: Weight, b: Weight) -> Bool { (a.load, a.past) < (b.load, b.past) }
    }

    /// A heap-shaped tree: node `i` has children `2i` and `2i + 1`; leaf `leafCount + slot` is the slot's own offer.
    /// An inner node holds the best of each figure below it.
    private var nodes: [Offer?] = [nil, nil]
    private var leafCount = 1

    func offer(of slot: Int) -> Offer? { slot < leafCount ? nodes[leafCount + slot] : nil }

    mutating func set(_ slot: Int, to offer: Offer?) {
        while slot >= leafCount { grow() }
        var node = leafCount + slot
        guard nodes[node] != offer else { return }
        nodes[node] = offer
        while node > 1 {
            node /= 2
            nodes[node] = Self.combine(nodes[2 * node], nodes[2 * node + 1])
        }
    }

    /// The slot with the smallest load, of those the smallest past (the lowest slot among equals) that offers both figures; `avoided` only if
    /// no other does.
    func lightest(room: Int, reach: Int, avoiding avoided: Int? = nil) -> Int? {
        var best: (slot: Int, weight: Weight)?
        search(1, room: room, reach: reach, except: avoided, best: &best)
        if let best { return best.slot }
        guard let avoided, let offer = offer(of: avoided), offer.room >= room, offer.reach >= reach else { return nil }
        return avoided
    }

    private func search(_ node: Int, room: Int, reach: Int, except: Int?, best: inout (slot: Int, weight: Weight)?) {
        guard let offer = nodes[node], offer.room >= room, offer.reach >= reach else { return }
        if let best, offer.weight >= best.weight { return }
        guard node < leafCount else {
            if node - leafCount != except { best = (node - leafCount, offer.weight) }
            return
        }
        let (left, right) = (2 * node, 2 * node + 1)
        let rightFirst = nodes[right].map { right in nodes[left].map { right.weight < $0.weight } ?? true } ?? false
        search(rightFirst ? right : left, room: room, reach: reach, except: except, best: &best)
        search(rightFirst ? left : right, room: room, reach: reach, except: except, best: &best)
    }

    private static func combine(_ a: Offer?, _ b: Offer?) -> Offer? {
        guard let a, let b else { return a ?? b }
        let weight = min(a.weight, b.weight)
        return Offer(load: weight.load, past: weight.past, room: max(a.room, b.room), reach: max(a.reach, b.reach))
    }

    private mutating func grow() {
        let leaves = Array(nodes[leafCount...])
        leafCount *= 2
        nodes = Array(repeating: nil, count: 2 * leafCount)
        nodes.replaceSubrange(leafCount..<leafCount + leaves.count, with: leaves)
        for node in (1..<leafCount).reversed() { nodes[node] = Self.combine(nodes[2 * node], nodes[2 * node + 1]) }
    }

    func checkInvariants() {
        precondition(nodes.count == 2 * leafCount, "\(nodes.count) nodes over \(leafCount) leaves")
        for node in 1..<leafCount {
            precondition(nodes[node] == Self.combine(nodes[2 * node], nodes[2 * node + 1]), "node \(node) is outdated")
        }
    }
}

extension PlacementTree.Offer {
    fileprivate var weight: PlacementTree.Weight { PlacementTree.Weight(load: load, past: past) }
}
