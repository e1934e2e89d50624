/// A rule whose next state is certain for each byte and for each rule it calls. State 0 is the first.
struct RuleAutomaton: Sendable, Hashable {
    struct Edge: Sendable, Hashable {
        var low: UInt8
        var high: UInt8
        var target: Int32
    }

    /// Goes on in `target` after what `rule` derives.
    struct Call: Sendable, Hashable {
        var rule: Int32
        var target: Int32
    }

    struct State: Sendable, Hashable {
        /// Ascending, apart from each other.
        var edges: [Edge] = []
        /// By rule, ascending.
        var calls: [Call] = []
        /// Whether the rule may end here.
        var isFinal = false

        func target(of byte: UInt8) -> Int32? {
            edges.first { $0.low <= byte && byte <= $0.high }?.target
        }
    }

    var states: [State]

    /// Accepts nothing.
    static let never = RuleAutomaton(states: [State()])

    func accepts(_ bytes: some Sequence<UInt8>) -> Bool {
        var state: Int32 = 0
        for byte in bytes {
            guard let next = states[Int(state)].target(of: byte) else { return false }
            state = next
        }
        return states[Int(state)].isFinal
    }

    /// Whether some text is accepted; only of automata without calls.
    var acceptsSomething: Bool {
        var seen = Set([Int32(0)]), waiting = [Int32(0)]
        while let state = waiting.popLast() {
            if states[Int(state)].isFinal { return true }
            for edge in states[Int(state)].edges where seen.insert(edge.target).inserted { waiting.append(edge.target) }
        }
        return false
    }
}

extension RuleAutomaton {
    /// What both automata accept, or with `negated`, what this one accepts and `other` does not. Neither has calls.
    func combined(
        with other: RuleAutomaton, negated: Bool = false, _ budget: inout Budget
    ) throws(GrammarError) -> RuleAutomaton {
        // Pairs of states; without a state of `other`, it accepts nothing any more.
        var pairs: [Pair] = [Pair(own: 0, other: 0)], numbers = [pairs[0]: Int32(0)], made: [State] = []
        while made.count < pairs.count {
            let pair = pairs[made.count], own = states[Int(pair.own)]
            let their = pair.other.map { other.states[Int($0)] }
            var state = State(isFinal: own.isFinal && (their?.isFinal ?? false) != negated)
            for edge in own.edges {
                for part in Self.parts(of: edge, along: their?.edges ?? []) {
                    try budget.spend(1)
                    if part.target == nil, !negated { continue }
                    let next = Pair(own: edge.target, other: part.target)
                    var number = numbers[next]
                    if number == nil {
                        guard pairs.count < budget.limits.states else { throw .tooComplex(.states) }
                        number = Int32(pairs.count)
                        numbers[next] = number
                        pairs.append(next)
                    }
                    if let number { state.edges.append(Edge(low: part.low, high: part.high, target: number)) }
                }
            }
            made.append(state)
        }
        return RuleAutomaton(states: made)
    }

    private struct Pair: Hashable {
        var own: Int32
        var other: Int32?
    }

    /// Cuts an edge where the targets of `edges` change.
    private static func parts(of edge: Edge, along edges: [Edge]) -> [(low: UInt8, high: UInt8, target: Int32?)] {
        var parts: [(low: UInt8, high: UInt8, target: Int32?)] = []
        var next = Int(edge.low)
        for other in edges where other.high >= edge.low && other.low <= edge.high {
            if next < Int(other.low) { parts.append((UInt8(next), other.low - 1, nil)) }
            parts.append((max(other.low, edge.low), min(other.high, edge.high), other.target))
            next = Int(min(other.high, edge.high)) + 1
        }
        if next <= Int(edge.high) { parts.append((UInt8(next), edge.high, nil)) }
        return parts
    }
}

extension Expression {
    /// The automaton of an expression without calls.
    ///
    /// - Parameter anchored: whether the expression is the whole text; else it may stand anywhere in it.
    func automaton(
        encoding: CharacterEncoding, anchored: Bool = true, _ budget: inout Budget
    ) throws(GrammarError) -> RuleAutomaton {
        let anything = Expression.repeated(.character(.all), least: 0, most: nil)
        let whole = anchored ? self : .sequence([anything, self, anything])
        return try RuleGraph(whole, encoding: encoding, &budget).determinized(isNullable: { _ in false }, &budget)
    }
}
