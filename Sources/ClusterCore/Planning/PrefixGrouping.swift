/// Which nodes of the trie become groups of their own, where a prompt can be in one group only (sharing on one level).
public enum PrefixGrouping: String, Sendable, Hashable, CaseIterable {
    /// Every prompt by itself.
    case none
    /// The first nodes below the root: what a tree says that nobody restructured.
    case firstLevel = "first-level"
    /// BatchLLM's rule: bottom-up, a non-leaf grandchild g of child c becomes c's sibling as c+g when
    /// (leaves(g) − 1)·|g| > |c|.
    case promoted
    /// The most tokens that sharing on one level can save.
    case optimal

    /// - Parameter least: no node of fewer tokens is chosen.
    /// - Returns: for each node of the trie whether it is chosen. A prompt belongs to the deepest chosen node above it.
    func choose(from trie: PromptTrie, least: Int) -> [Bool] {
        switch self {
        case .none: Array(repeating: false, count: trie.nodes.count)
        case .firstLevel: trie.nodes.map { $0.parent == trie.root && $0.depth >= least }
        case .promoted: Self.promoted(trie, least: least)
        case .optimal: OptimalGrouping(trie, least: least).chosen
        }
    }

    /// A branch as the rule sees it: what it has for a prefix by itself, and the prompts that would share that.
    private struct Branch {
        var node: Int
        var length: Int
        var leafCount: Int
    }

    /// Quadratic in the depth of the trie at worst, where every node has a prompt of its own.
    private static func promoted(_ trie: PromptTrie, least: Int) -> [Bool] {
        var branches: [[Branch]] = Array(repeating: [], count: trie.nodes.count)
        for (index, node) in trie.nodes.enumerated() {
            guard let parent = node.parent else { continue }
            var child = Branch(node: index, length: node.depth - trie.depthOfParent(of: index), leafCount: node.leafCount)
            for grandchild in branches[index] where (grandchild.leafCount - 1) * grandchild.length > child.length {
                child.leafCount -= grandchild.leafCount
                branches[parent].append(
                    Branch(node: grandchild.node, length: child.length + grandchild.length, leafCount: grandchild.leafCount))
            }
            branches[index] = []
            if child.leafCount > 0 { branches[parent].append(child) }
        }
        var chosen = Array(repeating: false, count: trie.nodes.count)
        for branch in branches[trie.root] where branch.leafCount > 1 && trie.nodes[branch.node].depth >= least {
            chosen[branch.node] = true
        }
        return chosen
    }
}
