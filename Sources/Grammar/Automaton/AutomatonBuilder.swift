/// Collects the rules of a grammar and makes its automaton.
struct AutomatonBuilder {
    private var graphs: [RuleGraph?] = []
    private var names: [String] = []
    var budget: Budget

    init(limits: GrammarLimits) { budget = Budget(limits) }

    /// A rule that is defined later. The first one is the root.
    mutating func declare(_ name: String) throws(GrammarError) -> Int {
        guard names.count < budget.limits.rules else { throw .tooComplex(.rules) }
        names.append(name)
        graphs.append(nil)
        return names.count - 1
    }

    mutating func define(_ rule: Int, _ graph: RuleGraph) { graphs[rule] = graph }

    mutating func define(_ rule: Int, _ expression: Expression, encoding: CharacterEncoding = .utf8) throws(GrammarError) {
        graphs[rule] = try RuleGraph(expression, encoding: encoding, &budget)
    }

    mutating func rule(_ name: String, _ expression: Expression, encoding: CharacterEncoding = .utf8) throws(GrammarError) -> Int {
        let rule = try declare(name)
        try define(rule, expression, encoding: encoding)
        return rule
    }

    /// - Throws: ``GrammarError`` if a rule calls itself before any byte, nothing can be derived, or a limit is exceeded.
    mutating func build() throws(GrammarError) -> Automaton {
        var rules: [RuleGraph] = []
        for (index, graph) in graphs.enumerated() {
            guard let graph else { throw .undefinedRule(names[index]) }
            rules.append(graph)
        }
        let nullable = try nullableRules(rules)
        var states: [RuleAutomaton.State] = [], starts: [Int32] = []
        for graph in rules {
            let automaton = try graph.determinized(isNullable: { nullable[$0] }, &budget)
            let offset = Int32(states.count)
            starts.append(offset)
            try budget.keep(states: automaton.states.count)
            for var state in automaton.states {
                for i in state.edges.indices { state.edges[i].target += offset }
                for i in state.calls.indices { state.calls[i].target += offset }
                states.append(state)
            }
        }
        let needs = NestingNeeds(states: states, ruleStarts: starts, limit: budget.limits.depth).values
        guard let root = starts.first, needs[Int(root)] != .max else { throw .unsatisfiable }
        for i in states.indices {
            states[i].edges.removeAll { needs[Int($0.target)] == .max }
            states[i].calls.removeAll { needs[Int($0.target)] == .max || needs[Int(starts[Int($0.rule)])] == .max }
        }
        let ranks = try ranks(states, starts)
        return Automaton(states: states, needs: needs, ruleStarts: starts, ruleRanks: ranks, depthLimit: budget.limits.depth)
    }

    private mutating func nullableRules(_ rules: [RuleGraph]) throws(GrammarError) -> [Bool] {
        var nullable = [Bool](repeating: false, count: rules.count), changes = true
        while changes {
            changes = false
            for (index, graph) in rules.enumerated() where !nullable[index] {
                try budget.spend(1)
                if graph.isNullable({ nullable[$0] }) {
                    nullable[index] = true
                    changes = true
                }
            }
        }
        return nullable
    }

    /// Orders rules so that each comes before those that its first state calls. Calls of rules that derive the empty text can be
    /// left out of the determinized states, so a rule's first calls are those of its first state alone.
    private func ranks(_ states: [RuleAutomaton.State], _ starts: [Int32]) throws(GrammarError) -> [Int32] {
        enum Mark { case new, open, done }
        var marks = [Mark](repeating: .new, count: starts.count), order: [Int] = []
        for root in starts.indices where marks[root] == .new {
            var path = [(rule: root, next: 0)]
            marks[root] = .open
            while let (rule, next) = path.last {
                let calls = states[Int(starts[rule])].calls
                guard next < calls.count else {
                    marks[rule] = .done
                    order.append(rule)
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                let callee = Int(calls[next].rule)
                switch marks[callee] {
                case .new:
                    marks[callee] = .open
                    path.append((callee, 0))
                case .open: throw .leftRecursion(rule: names[callee])
                case .done: break
                }
            }
        }
        var ranks = [Int32](repeating: 0, count: starts.count)
        for (rank, rule) in order.reversed().enumerated() { ranks[rule] = Int32(rank) }
        return ranks
    }
}

/// By state, the least number of calls within one another with which its rule can end; `.max` if it cannot within the limit.
///
/// Relaxes until nothing changes: a state needs what the next one needs, or one more than the rule that it calls.
private struct NestingNeeds {
    private(set) var values: [Int32]

    init(states: [RuleAutomaton.State], ruleStarts: [Int32], limit: Int) {
        values = [Int32](repeating: .max, count: states.count)
        var users = [[Int32]](repeating: [], count: states.count)
        for (index, state) in states.enumerated() {
            for edge in state.edges { users[Int(edge.target)].append(Int32(index)) }
            for call in state.calls {
                users[Int(call.target)].append(Int32(index))
                users[Int(ruleStarts[Int(call.rule)])].append(Int32(index))
            }
        }
        var waiting = states.indices.filter { states[$0].isFinal }.map { Int32($0) }
        for state in waiting { values[Int(state)] = 0 }
        var next = 0
        while next < waiting.count {
            let changed = waiting[next]
            next += 1
            // Forget what is done now and then, so that the queue stays small.
            if next == 1 << 16 {
                waiting.removeFirst(next)
                next = 0
            }
            for user in users[Int(changed)] {
                // What changed can be no better than itself.
                guard values[Int(changed)] < values[Int(user)] else { continue }
                let state = states[Int(user)]
                var least = values[Int(user)]
                for edge in state.edges { least = min(least, values[Int(edge.target)]) }
                for call in state.calls {
                    let inner = values[Int(ruleStarts[Int(call.rule)])], after = values[Int(call.target)]
                    guard inner < Int32(limit), after != .max else { continue }
                    least = min(least, max(inner + 1, after))
                }
                if least < values[Int(user)] {
                    values[Int(user)] = least
                    waiting.append(user)
                }
            }
        }
    }
}
