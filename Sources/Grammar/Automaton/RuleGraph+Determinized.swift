extension RuleGraph {
    /// The subset construction, with calls as further symbols.
    ///
    /// Anchors hold by phases: at the text's beginning, behind it, and behind an end anchor, where nothing may follow.
    /// - Parameter isNullable: whether a rule derives the empty text. Calls of such rules may be left out here, so that a
    ///   rule that was just called never has to end before its first byte.
    func determinized(isNullable: (Int) -> Bool, _ budget: inout Budget) throws(GrammarError) -> RuleAutomaton {
        var builder = SubsetBuilder(graph: self)
        return try builder.build(isNullable: isNullable, &budget)
    }

    /// Whether the empty text leads from start to end.
    func isNullable(_ isNullable: (Int) -> Bool) -> Bool {
        var seen = [Bool](repeating: false, count: edges.count), waiting = [start]
        seen[start] = true
        while let node = waiting.popLast() {
            if node == end { return true }
            for edge in edges[node] where !seen[edge.target] {
                switch edge.label {
                case .bytes: continue
                case .call(let rule): if !isNullable(rule) { continue }
                case .nothing, .textStart, .textEnd: break
                }
                seen[edge.target] = true
                waiting.append(edge.target)
            }
        }
        return false
    }
}

private struct SubsetBuilder {
    let graph: RuleGraph
    /// 3 with anchors, else 1: a place is a node times this plus its phase.
    let phaseCount: Int
    private var subsets: [[Int32]] = []
    private var numbers: [[Int32]: Int32] = [:]
    /// By place: the last closure that it was found in.
    private var stamps: [UInt32]
    private var stamp: UInt32 = 0

    init(graph: RuleGraph) {
        self.graph = graph
        phaseCount = graph.hasAnchors ? 3 : 1
        stamps = [UInt32](repeating: 0, count: graph.edges.count * phaseCount)
    }

    mutating func build(isNullable: (Int) -> Bool, _ budget: inout Budget) throws(GrammarError) -> RuleAutomaton {
        _ = try number(of: [Int32(graph.start * phaseCount)], isNullable, &budget)
        var states: [RuleAutomaton.State] = []
        while states.count < subsets.count {
            states.append(try state(of: subsets[states.count], isNullable, &budget))
        }
        return RuleAutomaton(states: states)
    }

    private mutating func state(
        of subset: [Int32], _ isNullable: (Int) -> Bool, _ budget: inout Budget
    ) throws(GrammarError) -> RuleAutomaton.State {
        var state = RuleAutomaton.State(), taken: [(range: ClosedRange<UInt8>, place: Int32)] = []
        var called: [(rule: Int, place: Int32)] = []
        for place in subset {
            let node = Int(place) / phaseCount, phase = Int(place) % phaseCount
            if node == graph.end { state.isFinal = true }
            if phase == 2 { continue }
            // Behind the beginning, if phases count at all.
            let next = Int32(min(1, phaseCount - 1))
            for edge in graph.edges[node] {
                switch edge.label {
                case .bytes(let range): taken.append((range, Int32(edge.target * phaseCount) + next))
                case .call(let rule): called.append((rule, Int32(edge.target * phaseCount) + next))
                case .nothing, .textStart, .textEnd: break
                }
            }
        }
        try budget.spend(subset.count + taken.count + called.count)
        var isCut = [Bool](repeating: false, count: 257)
        for edge in taken {
            isCut[Int(edge.range.lowerBound)] = true
            isCut[Int(edge.range.upperBound) + 1] = true
        }
        let cuts = isCut.indices.filter { isCut[$0] }
        var targets = [[Int32]](repeating: [], count: cuts.count)
        var slots = [Int](repeating: 0, count: 257)
        for (slot, cut) in cuts.enumerated() { slots[cut] = slot }
        for edge in taken {
            let range = slots[Int(edge.range.lowerBound)]..<slots[Int(edge.range.upperBound) + 1]
            try budget.spend(range.count)
            for slot in range { targets[slot].append(edge.place) }
        }
        for (slot, places) in targets.enumerated() where !places.isEmpty {
            let target = try number(of: places, isNullable, &budget)
            let low = UInt8(cuts[slot]), high = UInt8(cuts[slot + 1] - 1)
            if let last = state.edges.last, last.target == target, Int(last.high) + 1 == Int(low) {
                state.edges[state.edges.count - 1].high = high
            } else {
                state.edges.append(RuleAutomaton.Edge(low: low, high: high, target: target))
            }
        }
        called.sort { ($0.rule, $0.place) < ($1.rule, $1.place) }
        var rest = called[...]
        while let rule = rest.first?.rule {
            let same = rest.prefix { $0.rule == rule }
            state.calls.append(RuleAutomaton.Call(
                rule: Int32(rule), target: try number(of: same.map(\.place), isNullable, &budget)))
            rest = rest.dropFirst(same.count)
        }
        return state
    }

    /// The state of the places that can be reached from `places` without a byte.
    private mutating func number(
        of places: [Int32], _ isNullable: (Int) -> Bool, _ budget: inout Budget
    ) throws(GrammarError) -> Int32 {
        stamp += 1
        var closure: [Int32] = []
        for place in places where stamps[Int(place)] != stamp {
            stamps[Int(place)] = stamp
            closure.append(place)
        }
        var index = 0
        while index < closure.count {
            let node = Int(closure[index]) / phaseCount, phase = Int(closure[index]) % phaseCount
            index += 1
            try budget.spend(graph.edges[node].count)
            for edge in graph.edges[node] {
                var reached = phase
                switch edge.label {
                case .nothing: break
                case .bytes: continue
                case .call(let rule): if !isNullable(rule) { continue }
                case .textStart: if phase != 0 { continue }
                case .textEnd: reached = phaseCount - 1
                }
                let place = edge.target * phaseCount + reached
                guard stamps[place] != stamp else { continue }
                stamps[place] = stamp
                closure.append(Int32(place))
            }
        }
        closure.sort()
        if let known = numbers[closure] { return known }
        guard subsets.count < budget.limits.states else { throw .tooComplex(.states) }
        try budget.spend(closure.count)
        let number = Int32(subsets.count)
        numbers[closure] = number
        subsets.append(closure)
        return number
    }
}
