/// The compact trie over a job's prompts, read off their order: each node is a prefix that two or more prompts share and after
/// which they differ, and the prompts below it are a range of places in the order.
///
/// Children come before their parents, the root (of depth 0, over all prompts) is last. There are at most as many nodes as
/// prompts, and nothing here recurses: a trie may be as deep as its longest prompt.
struct PromptTrie: Sendable {
    struct Node: Sendable, Hashable {
        /// Tokens from the root.
        var depth: Int
        /// Places in the order.
        var places: Range<Int>
        /// Absent at the root.
        var parent: Int?

        /// Prompts below.
        var leafCount: Int { places.count }
    }

    private(set) var nodes: [Node] = []

    var root: Int { nodes.count - 1 }

    init(_ order: PromptOrder) {
        let count = order.order.count
        // Open nodes, each deeper than the one before it; the root never closes.
        var open: [(depth: Int, start: Int)] = [(0, 0)]
        for place in 1..<max(count, 1) {
            let common = Int(order.common[place])
            var start = place - 1
            while let last = open.last, last.depth > common {
                nodes.append(Node(depth: last.depth, places: last.start..<place))
                start = last.start
                open.removeLast()
            }
            if let last = open.last, last.depth < common { open.append((common, start)) }
        }
        while let last = open.popLast() { nodes.append(Node(depth: last.depth, places: last.start..<count)) }
        linkParents()
    }

    /// Backwards: parents come before children then, and each is the innermost range that is still open.
    private mutating func linkParents() {
        var ancestors: [Int] = []
        for index in nodes.indices.reversed() {
            while let last = ancestors.last, nodes[last].places.lowerBound >= nodes[index].places.upperBound { ancestors.removeLast() }
            nodes[index].parent = ancestors.last
            ancestors.append(index)
        }
    }

    func depthOfParent(of index: Int) -> Int { nodes[index].parent.map { nodes[$0].depth } ?? 0 }

    /// Prompts that hang on each node itself, and on none of its children.
    var directLeafCounts: [Int] {
        var counts = nodes.map(\.leafCount)
        for node in nodes { if let parent = node.parent { counts[parent] -= node.leafCount } }
        return counts
    }

    /// Tokens that need not be computed if every prefix of the trie is computed once.
    var savedTokens: Int {
        nodes.indices.reduce(0) { $0 + (nodes[$1].leafCount - 1) * (nodes[$1].depth - depthOfParent(of: $1)) }
    }

    /// Calls `body` for every place of the order, from the last to the first, with the deepest node around it.
    func forEachPlace(_ body: (_ place: Int, _ node: Int) -> Void) {
        guard let places = nodes.last?.places else { return }
        var path: [Int] = [root]
        // Backwards, nodes come in the order in which they end: the outer ones of those that end together first.
        var next = root - 1
        for place in places.reversed() {
            while next >= 0, nodes[next].places.upperBound == place + 1 {
                path.append(next)
                next -= 1
            }
            if let node = path.last { body(place, node) }
            while let last = path.last, nodes[last].places.lowerBound == place { path.removeLast() }
        }
    }
}
