import JSONReader

extension SchemaCompiler {
    /// Members that the schema does not name one by one.
    private struct Extra {
        /// What stands between the quotes of their names.
        var key: RuleAutomaton
        var rule: Int
    }

    private struct Member {
        var name: String
        var rule: Int
        var isRequired: Bool
    }

    /// `{`, the named members in order, any others, `}`.
    ///
    /// Nodes are places between members: `next` expects a member from the i-th on, `after` has just read one.
    mutating func objectGraph(_ conjunction: Conjunction) throws(GrammarError) -> RuleGraph {
        let members = try members(conjunction), extras = try extras(conjunction, members)
        var least = 0, most: Int?
        for node in conjunction {
            if let count = try document.count("minProperties", of: node) {
                // Names that the schema does not list may come twice, so all of these together count as one.
                if !extras.isEmpty, count > members.count + 1 {
                    throw document.error(node, "minProperties", "cannot be enforced where properties are allowed that are not listed")
                }
                least = max(least, count)
            }
            if let count = try document.count("maxProperties", of: node) { most = min(most ?? count, count) }
        }
        var object = ObjectBuilder(space: space, least: least, most: most, &builder.budget)
        return try object.graph(
            members.map { ($0.name, $0.rule, $0.isRequired) }, extras: extras.map { ($0.key, $0.rule) }, &builder.budget)
    }

    /// The named members, in the order in which the schemas name them.
    private mutating func members(_ conjunction: Conjunction) throws(GrammarError) -> [Member] {
        var names: [String] = [], required = Set<String>()
        var seen = Set<[UInt8]>()
        for node in conjunction {
            for member in try document.members("properties", of: node) where seen.insert(Array(member.name.utf8)).inserted {
                names.append(member.name)
            }
        }
        for node in conjunction {
            for name in try document.texts("required", of: node) {
                required.insert(name)
                if seen.insert(Array(name.utf8)).inserted { names.append(name) }
            }
        }
        var schemas: [[UInt8]: [Node]] = [:]
        for node in conjunction {
            var own: [[UInt8]: Node] = [:]
            for member in try document.members("properties", of: node) { own[Array(member.name.utf8)] = member.node }
            var patterns: [(RuleAutomaton, Node)] = []
            for pattern in try document.members("patternProperties", of: node) {
                patterns.append((try keyAutomaton(pattern: pattern.name, node), pattern.node))
            }
            let others = try document.child("additionalProperties", of: node)
            for name in names {
                let bytes = Array(name.utf8), content = JSONText.content(name)
                var found = own[bytes].map { [$0] } ?? []
                found += patterns.filter { $0.0.accepts(content) }.map(\.1)
                if found.isEmpty, let others { found = [others] }
                schemas[bytes, default: []] += found
            }
        }
        var members: [Member] = []
        for name in names {
            members.append(Member(
                name: name, rule: try rule(for: schemas[Array(name.utf8)] ?? []), isRequired: required.contains(name)))
        }
        return members
    }

    private mutating func extras(_ conjunction: Conjunction, _ members: [Member]) throws(GrammarError) -> [Extra] {
        let patterned = conjunction.filter { document.value("patternProperties", of: $0) != nil }
        if let first = patterned.first, conjunction.count(where: { document.value("properties", of: $0) != nil
            || document.value("additionalProperties", of: $0) != nil || document.value("patternProperties", of: $0) != nil }) > 1 {
            throw document.error(first, "patternProperties", "cannot be joined with the properties of another schema")
        }
        var rest = try Expression.repeated(.character(.all), least: 0, most: nil).automaton(encoding: .jsonString, &builder.budget)
        if !members.isEmpty {
            let names = Expression.choice(members.map { .bytes(JSONText.content($0.name)) })
            rest = try rest.combined(with: names.automaton(encoding: .utf8, &builder.budget), negated: true, &builder.budget)
        }
        var extras: [Extra] = []
        for node in patterned {
            for pattern in try document.members("patternProperties", of: node) {
                let key = try keyAutomaton(pattern: pattern.name, node)
                for other in extras where try other.key.combined(with: key, &builder.budget).acceptsSomething {
                    throw .schema(
                        pointer: document.pointer(node, "patternProperties", pattern.name), "a name may match this and another pattern, which cannot be enforced")
                }
                extras.append(Extra(key: try key.combined(with: rest, &builder.budget), rule: try rule(for: [pattern.node])))
            }
        }
        for extra in extras { rest = try rest.combined(with: extra.key, negated: true, &builder.budget) }
        var others: [Node] = [], isOpen = false, isClosed = false
        for node in conjunction {
            if let other = try document.child("additionalProperties", of: node) {
                if document.values[other].boolean == false { isClosed = true } else { isOpen = true }
                others.append(other)
            }
        }
        let names = conjunction.contains { document.value("properties", of: $0) != nil || document.value("patternProperties", of: $0) != nil }
        if !isClosed, isOpen || !names { extras.append(Extra(key: rest, rule: try rule(for: others))) }
        return extras
    }
}

/// Writes the graph of an object.
private struct ObjectBuilder {
    private var graph: RuleGraph
    private let space: Expression
    private let least: Int
    private let most: Int?
    /// Counts beyond it need not be told apart.
    private let countLimit: Int
    private var nodes: [Place: Int] = [:]

    private enum Place: Hashable {
        case next(index: Int, count: Int), after(index: Int, count: Int)
        /// Behind the named members.
        case nextExtra(count: Int), afterExtra(count: Int)
    }

    init(space: Expression, least: Int, most: Int?, _ budget: inout Budget) {
        graph = RuleGraph()
        self.space = space
        self.least = least
        self.most = most
        countLimit = max(1, most ?? least)
    }

    mutating func graph(
        _ members: [(name: String, rule: Int, isRequired: Bool)], extras: [(key: RuleAutomaton, rule: Int)], _ budget: inout Budget
    ) throws(GrammarError) -> RuleGraph {
        // Only what is reached: places are made as they are named.
        let open = try graph.node(&budget)
        try graph.add(.text("{"), from: graph.start, to: open, &budget)
        let isAllOptional = members.allSatisfy { !$0.isRequired }
        if isAllOptional, least == 0 { try graph.add(.text("}"), from: open, to: graph.end, &budget) }
        try graph.add(space, from: open, to: try node(.next(index: 0, count: 0), &budget), &budget)
        var lastRequired = -1
        for (index, member) in members.enumerated() where member.isRequired { lastRequired = index }
        for index in 0...members.count {
            for count in 0...min(countLimit, index) {
                let next = try node(.next(index: index, count: count), &budget)
                if index < members.count {
                    let member = members[index]
                    if !member.isRequired {
                        graph.link(.nothing, from: next, to: try node(.next(index: index + 1, count: count), &budget))
                    }
                    if let more = more(count) {
                        try addMember(
                            .bytes(JSONText.content(member.name)), member.rule, from: next,
                            to: try node(.after(index: index + 1, count: more), &budget), &budget)
                    }
                } else if !extras.isEmpty, let more = more(count), more >= least {
                    for extra in extras {
                        try addMember(
                            .automaton(extra.key), extra.rule, from: next, to: try node(.afterExtra(count: more), &budget), &budget)
                    }
                }
                guard count > 0 else { continue }
                let after = try node(.after(index: index, count: count), &budget)
                try add(.sequence([.text(","), space]), from: after, to: next, &budget)
                if index > lastRequired, count >= least { try add(.sequence([space, .text("}")]), from: after, to: graph.end, &budget) }
            }
        }
        try addExtras(extras, &budget)
        return graph
    }

    private mutating func addExtras(_ extras: [(key: RuleAutomaton, rule: Int)], _ budget: inout Budget) throws(GrammarError) {
        guard !extras.isEmpty else { return }
        for count in 1...countLimit where nodes[.afterExtra(count: count)] != nil {
            let after = try node(.afterExtra(count: count), &budget), next = try node(.nextExtra(count: count), &budget)
            try add(.sequence([.text(","), space]), from: after, to: next, &budget)
            try add(.sequence([space, .text("}")]), from: after, to: graph.end, &budget)
            guard let more = more(count) else { continue }
            for extra in extras {
                try addMember(.automaton(extra.key), extra.rule, from: next, to: try node(.afterExtra(count: more), &budget), &budget)
            }
        }
    }

    /// The count after one more member; `nil` if there may be none.
    private func more(_ count: Int) -> Int? {
        guard let most else { return min(count + 1, countLimit) }
        return count < most ? count + 1 : nil
    }

    private mutating func node(_ place: Place, _ budget: inout Budget) throws(GrammarError) -> Int {
        if let known = nodes[place] { return known }
        let node = try graph.node(&budget)
        nodes[place] = node
        return node
    }

    private mutating func add(_ expression: Expression, from: Int, to: Int, _ budget: inout Budget) throws(GrammarError) {
        try graph.add(expression, from: from, to: to, &budget)
    }

    private mutating func addMember(
        _ key: Expression, _ rule: Int, from: Int, to: Int, _ budget: inout Budget
    ) throws(GrammarError) {
        try add(.sequence([.text("\""), key, .text("\":"), .optional(.text(" ")), .call(rule)]), from: from, to: to, &budget)
    }
}
