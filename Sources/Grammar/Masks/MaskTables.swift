import Generation

/// Masks of one grammar, and what was learnt while making them. Use from one thread at a time; a copy may be handed to another.
///
/// Most of a mask depends on the innermost rule alone, whatever called it. (XGrammar, arXiv 2411.15100, calls such tokens context-independent,
/// and keeps a mask for each state of its automaton.) Here a *walk* goes from one state through the trie as if nothing were
/// known of the calls around it. It keeps which tokens can be read that way, and at which nodes of the trie the rule may end with bytes
/// of a token left: from these nodes, as a set, the walk of the calling rule's state goes on. Walks are kept by state and set of nodes, so after
/// a while a mask is a union of a few kept sets.
public struct MaskTables: Sendable {
    public let grammar: CompiledGrammar
    private var readings: ReadingTables
    private var walks: [WalkKey: Walk] = [:]
    /// Sets of nodes of the trie from which walks begin, by number.
    private var nodeSets: [[Int32]]
    private var nodeSetNumbers: [[Int32]: Int32]
    /// See ``Automaton/representatives(length:)``.
    private let representatives: [Int32]
    /// Bytes of kept masks.
    private var walkByteCount = 0

    private static let greatestWalkByteCount = 16 << 20

    private struct WalkKey: Hashable {
        var state: Int32
        var nodes: Int32
    }

    private struct Walk: Sendable {
        var tokens: KeptTokens
        /// The set of nodes at which the rule may end and that have descendants; `nil` if there are none.
        var ends: Int32?
        /// The greatest nesting that the walk met: where the answer's own nesting leaves less, it does not hold.
        var demand: Int32
    }

    private enum KeptTokens: Sendable {
        case few([TokenID])
        case many([UInt64])
    }

    public init(_ grammar: CompiledGrammar) {
        self.grammar = grammar
        readings = ReadingTables(automaton: grammar.automaton)
        let vocabulary = grammar.vocabulary
        nodeSets = [[vocabulary.innerRoot], [vocabulary.firstRoot]]
        nodeSetNumbers = Self.numbers(of: nodeSets)
        representatives = grammar.automaton.representatives(length: vocabulary.longestToken + 1)
    }

    /// Equal sets have the first one's number.
    private static func numbers(of nodeSets: [[Int32]]) -> [[Int32]: Int32] {
        Dictionary(nodeSets.enumerated().map { ($1, Int32($0)) }, uniquingKeysWith: { first, _ in first })
    }

    /// Memory of what was kept, without the grammar.
    public var byteCount: Int { walkByteCount + readings.byteCount + representatives.count * 4 }

    /// The tokens that may follow: those that leave a way to a complete answer, and of `endTokens` all if it is complete.
    ///
    /// Empty if nothing may follow, because the answer has ended, or is complete and there are no end tokens.
    public mutating func mask(of state: GrammarState, endTokens: [TokenID]) -> TokenMask {
        var mask = TokenMask(vocabularySize: grammar.vocabulary.size)
        add(to: &mask, state, endTokens: endTokens)
        return mask
    }

    /// Makes masks before they are asked for: of the first states of the root and of rules that it calls, as many as `walkCount`.
    public mutating func warm(walkCount: Int) {
        var made = 0
        for state in 0..<Int32(grammar.automaton.stateCount) where representatives[Int(state)] == state {
            guard made < walkCount else { return }
            _ = walk(from: state, 0)
            made += 1
        }
    }

    private mutating func add(to mask: inout TokenMask, _ state: GrammarState, endTokens: [TokenID]) {
        if state.hasEnded { return }
        if walkByteCount > Self.greatestWalkByteCount { forget() }
        let root: Int32 = state.tokenCount == 0 && grammar.vocabulary.firstRoot != 0 ? 1 : 0
        var waiting = state.threads.map { (thread: $0, nodes: root) }, seen = Set<[Int32]>()
        while let (thread, nodes) = waiting.popLast() {
            guard seen.insert([thread.state, thread.frame, nodes]).inserted else { continue }
            let walk = walk(from: representatives[Int(thread.state)], nodes)
            guard state.stacks.depth(of: thread.frame) + walk.demand <= grammar.automaton.depthLimit else {
                // So near the limit nothing can be kept: with all that is known of the calls around.
                mask = TokenMask(vocabularySize: mask.vocabularySize)
                var readings = ReadingTables(automaton: grammar.automaton, stacks: state.stacks)
                let first = readings.enter(state.threads)
                var ends: [Int32] = [], demand: Int32 = 0
                readings.read(
                    below: Int(nodeSets[Int(root)][0]), from: first, of: grammar.vocabulary, into: &mask, &ends, &demand)
                break
            }
            switch walk.tokens {
            case .few(let tokens): mask.formUnion(tokens: tokens)
            case .many(let words): mask.formUnion(words: words)
            }
            guard let ends = walk.ends else { continue }
            for link in state.stacks.links(of: thread.frame) { waiting.append((link, ends)) }
        }
        for token in endTokens where token >= 0 && Int(token) < mask.vocabularySize {
            if state.isEnd { mask.insert(token) } else { mask.remove(token) }
        }
    }

    /// Forgets all masks, so that no answer makes them grow without end.
    private mutating func forget() {
        walks = [:]
        walkByteCount = 0
        nodeSets.removeLast(nodeSets.count - 2)
        nodeSetNumbers = Self.numbers(of: nodeSets)
    }

    private mutating func walk(from state: Int32, _ nodes: Int32) -> Walk {
        let key = WalkKey(state: state, nodes: nodes)
        if let known = walks[key] { return known }
        var mask = TokenMask(vocabularySize: grammar.vocabulary.size), ends: [Int32] = [], demand: Int32 = 0
        readings.prepare()
        let first = readings.enter([Stacks.Link(state: state, frame: Stacks.bottom)])
        for node in nodeSets[Int(nodes)] {
            readings.read(below: Int(node), from: first, of: grammar.vocabulary, into: &mask, &ends, &demand)
        }
        let count = mask.count
        let isFew = count * 32 < mask.words.count * 8
        var number: Int32?
        if !ends.isEmpty {
            let known = nodeSetNumbers[ends]
            number = known ?? Int32(nodeSets.count)
            if known == nil {
                nodeSetNumbers[ends] = number
                nodeSets.append(ends)
                walkByteCount += ends.count * 8
            }
        }
        let walk = Walk(tokens: isFew ? .few(mask.tokens) : .many(mask.words), ends: number, demand: demand)
        walks[key] = walk
        walkByteCount += (isFew ? count * 4 : mask.words.count * 8) + 128
        return walk
    }
}
