import Generation

/// Plans a whole job ahead of time, as BatchLLM (arXiv 2412.03594) does: which prompts share which prefix, and who goes first.
///
/// A pure function: equal jobs give equal plans. It takes O(tokens that distinguish + n log² n) time, and for each prompt the
/// memory of some numbers. At run time an ``AdmissionWindow`` says how much of the plan may be under way.
public enum BatchPlanner {
    public struct Options: Sendable, Hashable {
        public var grouping: PrefixGrouping
        public var order: Order
        /// In tokens; shorter prefixes are not worth a group. A KV block by default.
        public var leastPrefix: Int

        public init(grouping: PrefixGrouping = .optimal, order: Order = .decodeRatio, leastPrefix: Int = 16) {
            self.grouping = grouping
            self.order = order
            self.leastPrefix = leastPrefix
        }
    }

    public enum Order: String, Sendable, Hashable, CaseIterable {
        /// Groups by their first prompts, members as they were given.
        case arrival
        /// Groups with the most answer tokens per prompt token first, and in them the longest answers first: the batch is full
        /// of rows early, and prompts are left to be mixed with them until the end.
        case decodeRatio = "decode-ratio"
    }

    /// - Parameters:
    ///   - prompts: token ids, fewer than 2³¹ each.
    ///   - expectedAnswerLengths: for each prompt the tokens of its answer, as far as known; its limit where nothing is.
    /// - Precondition: as many lengths as prompts, fewer than 2³¹.
    public static func plan(prompts: [[TokenID]], expectedAnswerLengths: [Int], options: Options = Options()) -> BatchPlan {
        precondition(
            prompts.count == expectedAnswerLengths.count, "\(prompts.count) prompts, \(expectedAnswerLengths.count) lengths")
        let order = PromptOrder(prompts)
        let trie = PromptTrie(order)
        var plan = Self.groups(order, trie, options)
        plan.promptTokens = prompts.reduce(0) { $0 + $1.count }
        plan.mostSavedTokens = trie.savedTokens
        plan.reorder(by: options.order, promptLengths: prompts.map(\.count), expectedAnswerLengths: expectedAnswerLengths)
        return plan
    }

    /// In no particular order yet.
    private static func groups(_ order: PromptOrder, _ trie: PromptTrie, _ options: Options) -> BatchPlan {
        let least = max(options.leastPrefix, 1)
        let (numbers, prefixes) = Self.prefixes(order, trie, least: least)
        let owners = Self.owners(trie, chosen: options.grouping.choose(from: trie, least: least))
        var plan = BatchPlan(groups: [], prefixes: prefixes)
        // Of each chosen node, its place among the groups: known when its first prompt comes.
        var groupOfNode: [Int?] = Array(repeating: nil, count: trie.nodes.count)
        trie.forEachPlace { place, node in
            let prompt = Int(order.order[place])
            guard let owner = owners[node] else {
                plan.groups.append(PlannedGroup(prefixLength: 0, members: [prompt], prefix: numbers[node]))
                return
            }
            if let group = groupOfNode[owner] {
                plan.groups[group].members.append(prompt)
            } else {
                groupOfNode[owner] = plan.groups.count
                plan.groups.append(PlannedGroup(prefixLength: trie.nodes[owner].depth, members: [prompt], prefix: numbers[owner]))
            }
        }
        return plan
    }

    /// - Returns: for each node the deepest chosen one among itself and those above it.
    private static func owners(_ trie: PromptTrie, chosen: [Bool]) -> [Int?] {
        var owners: [Int?] = Array(repeating: nil, count: trie.nodes.count)
        for index in trie.nodes.indices.reversed() {
            owners[index] = chosen[index] ? index : trie.nodes[index].parent.flatMap { owners[$0] }
        }
        return owners
    }

    /// - Returns: for each node of the trie its number among the prefixes, if it is one, and these.
    private static func prefixes(_ order: PromptOrder, _ trie: PromptTrie, least: Int) -> ([Int?], [PlannedPrefix]) {
        var numbers: [Int?] = []
        var count = 0
        for node in trie.nodes {
            numbers.append(node.depth >= least ? count : nil)
            if node.depth >= least { count += 1 }
        }
        let prefixes = trie.nodes.filter { $0.depth >= least }.map { node in
            PlannedPrefix(
                length: node.depth, promptCount: node.leafCount, example: Int(order.order[node.places.lowerBound]),
                parent: node.parent.flatMap { numbers[$0] })
        }
        return (numbers, prefixes)
    }
}
