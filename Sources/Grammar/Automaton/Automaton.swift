/// A grammar as a pushdown automaton over bytes: the states of all rules side by side, edges for bytes within a rule, calls
/// between rules. Every state can come to an end: what cannot was left out when it was built.
struct Automaton: Sendable, Hashable {
    /// Of state s: `edges[edgeStarts[s]..<edgeStarts[s + 1]]`, ascending and apart.
    private(set) var edgeStarts: [Int32] = [0]
    private(set) var edges: [RuleAutomaton.Edge] = []
    private(set) var callStarts: [Int32] = [0]
    private(set) var calls: [RuleAutomaton.Call] = []
    private(set) var isFinal: [Bool] = []
    /// By state: how deep calls must be nested at least before its rule can end.
    private(set) var needs: [Int32] = []
    /// By rule: its first state.
    let ruleStarts: [Int32]
    /// By rule: callers come before those that they can call before any byte.
    let ruleRanks: [Int32]
    /// Calls within one another that an answer may have.
    let depthLimit: Int32

    /// Rule 0 is the root.
    /// - Parameter states: with numbers of all rules together.
    init(states: [RuleAutomaton.State], needs: [Int32], ruleStarts: [Int32], ruleRanks: [Int32], depthLimit: Int) {
        for state in states {
            edges += state.edges
            edgeStarts.append(Int32(edges.count))
            calls += state.calls
            callStarts.append(Int32(calls.count))
            isFinal.append(state.isFinal)
        }
        self.needs = needs
        self.ruleStarts = ruleStarts
        self.ruleRanks = ruleRanks
        self.depthLimit = Int32(depthLimit)
    }

    var stateCount: Int { isFinal.count }
    var byteCount: Int { edges.count * 8 + calls.count * 8 + stateCount * 13 + ruleStarts.count * 8 }

    func edges(of state: Int32) -> ArraySlice<RuleAutomaton.Edge> {
        edges[Int(edgeStarts[Int(state)])..<Int(edgeStarts[Int(state) + 1])]
    }

    func calls(of state: Int32) -> ArraySlice<RuleAutomaton.Call> {
        calls[Int(callStarts[Int(state)])..<Int(callStarts[Int(state) + 1])]
    }

    /// Whether nothing is left of the rule but its end: a call that returns here need not return.
    func isOnlyFinal(_ state: Int32) -> Bool {
        isFinal[Int(state)] && edges(of: state).isEmpty && calls(of: state).isEmpty
    }

    func target(of byte: UInt8, from state: Int32) -> Int32? {
        var low = Int(edgeStarts[Int(state)]), high = Int(edgeStarts[Int(state) + 1])
        while low < high {
            let middle = (low + high) / 2, edge = edges[middle]
            if byte < edge.low { high = middle } else if byte > edge.high { low = middle + 1 } else { return edge.target }
        }
        return nil
    }

    /// By state, the first state from which the same happens as long as fewer than `length` bytes are read. Masks look no
    /// further than the longest token, so that the places of a long count, say of characters, have few masks.
    func representatives(length: Int) -> [Int32] {
        // What a state needs to come to its end counts where nesting nears its limit.
        var classes = zip(isFinal, needs).map { UInt64($0 ? 1 : 0) | UInt64(UInt32(bitPattern: $1)) << 1 }
        var classCount = Set(classes).count
        for _ in 0..<length {
            var refined = classes
            for state in 0..<Int32(stateCount) {
                var hash = Mixer(seed: classes[Int(state)])
                for edge in edges(of: state) {
                    hash.mix(UInt64(edge.low) << 8 | UInt64(edge.high))
                    hash.mix(classes[Int(edge.target)])
                }
                hash.mix(.max)
                for call in calls(of: state) {
                    hash.mix(UInt64(UInt32(bitPattern: call.rule)))
                    hash.mix(classes[Int(call.target)])
                    // Whether a call returns at all decides if its frame is kept.
                    hash.mix(isOnlyFinal(call.target) ? 1 : 0)
                }
                refined[Int(state)] = hash.value
            }
            let count = Set(refined).count
            classes = refined
            if count == classCount { break }
            classCount = count
        }
        var first: [UInt64: Int32] = [:]
        return classes.enumerated().map { index, value in
            if let known = first[value] { return known }
            first[value] = Int32(index)
            return Int32(index)
        }
    }
}

/// A 128-bit multiplication a step, folded (after wyhash by Wang Yi).
private struct Mixer {
    var value: UInt64
    init(seed: UInt64) { value = seed ^ 0x9E37_79B9_7F4A_7C15 }

    mutating func mix(_ word: UInt64) {
        let product = (value ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: word ^ 0xE703_7ED1_A0B4_28DB)
        value = product.high ^ product.low &+ value &* 0x9E37_79B9_7F4A_7C15
    }
}
