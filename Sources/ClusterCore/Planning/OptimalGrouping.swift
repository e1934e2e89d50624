import HeapModule

/// The choice of nodes that saves the most tokens when each prompt shares the prefix of one node above it.
///
/// To choose a node of depth D costs D tokens once; every prompt saves the depth of the deepest chosen node above it. So what a
/// subtree saves depends on its surroundings by one number, the depth d of the deepest chosen node above it (0 without one):
///
///     f(prompt, d) = d
///     f(node, d)   = max(Σ f(child, d), Σ f(child, D) − D)          the node is not chosen, or it is
///
/// f is convex and piecewise linear in d: sums of such functions and their maximum with a constant are. It is kept as its break
/// points, merged from the smaller heap into the larger, so that the whole takes O(n log² n) for n prompts, whatever the shape
/// of the trie. BatchLLM (arXiv 2412.03594) decides by a local rule instead (``PrefixGrouping/promoted``).
struct OptimalGrouping {
    private(set) var chosen: [Bool]

    init(_ trie: PromptTrie, least: Int) {
        // A node is chosen where the depth of the chosen one above it is less than this.
        var thresholds = Array(repeating: 0, count: trie.nodes.count)
        let leaves = trie.directLeafCounts
        var pending: [Int: Saving] = [:]
        for (index, node) in trie.nodes.enumerated() {
            var saving = pending.removeValue(forKey: index) ?? Saving()
            saving.addLeaves(leaves[index])
            guard let parent = node.parent else { break }
            if node.depth >= least { thresholds[index] = saving.choose(depth: node.depth) }
            saving.limit(to: trie.nodes[parent].depth)
            if let others = pending.removeValue(forKey: parent) { saving.merge(others) }
            pending[parent] = saving
        }
        chosen = Array(repeating: false, count: trie.nodes.count)
        var above = Array(repeating: 0, count: trie.nodes.count)
        for index in trie.nodes.indices.reversed() {
            guard let parent = trie.nodes[index].parent else { continue }
            chosen[index] = above[parent] < thresholds[index]
            above[index] = chosen[index] ? trie.nodes[index].depth : above[parent]
        }
    }
}

/// base + Σ slope · max(0, d − position) over the break points, for whole d from 0 on.
private struct Saving {
    private struct BreakPoint: Comparable {
        var position: Int
        var slope: Int

        static func < (a: BreakPoint, b: BreakPoint) -> Bool { a.position < b.position }
    }

    private var base = 0
    private var points = Heap<BreakPoint>()
    // Σ slope and Σ slope · position.
    private var slope = 0
    private var moment = 0

    mutating func addLeaves(_ count: Int) {
        if count > 0 { insert(BreakPoint(position: 0, slope: count)) }
    }

    mutating func merge(_ other: Saving) {
        var other = other
        if other.points.count > points.count { swap(&self, &other) }
        base += other.base
        slope += other.slope
        moment += other.moment
        points.insert(contentsOf: other.points.unordered)
    }

    /// Allows a node of `depth` to be chosen, which no break point is behind.
    /// - Returns: the d from which on it is not chosen.
    mutating func choose(depth: Int) -> Int {
        let ifChosen = base + slope * depth - moment - depth
        guard ifChosen > base else { return 0 }
        // The part of the function that lies at or below `ifChosen` becomes that constant.
        var (risen, risenMoment) = (0, 0)
        while let next = points.min, base + risen * next.position - risenMoment <= ifChosen {
            points.removeMin()
            risen += next.slope
            risenMoment += next.slope * next.position
        }
        // At `depth` the function is above the constant, so it rises.
        let last = (ifChosen - base + risenMoment) / risen
        let value = base + risen * last - risenMoment
        let step = value + risen - ifChosen
        slope -= risen
        moment -= risenMoment
        base = ifChosen
        insert(BreakPoint(position: last, slope: step))
        if step < risen { insert(BreakPoint(position: last + 1, slope: risen - step)) }
        return value == ifChosen ? last : last + 1
    }

    /// Forgets what lies at or behind `depth`, beyond which nobody asks.
    mutating func limit(to depth: Int) {
        while let last = points.max, last.position >= depth {
            points.removeMax()
            slope -= last.slope
            moment -= last.slope * last.position
        }
    }

    private mutating func insert(_ point: BreakPoint) {
        points.insert(point)
        slope += point.slope
        moment += point.slope * point.position
    }
}
