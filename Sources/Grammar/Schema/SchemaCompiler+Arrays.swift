import JSONReader

extension SchemaCompiler {
    /// `[`, items, `]`.
    mutating func arrayGraph(_ conjunction: Conjunction) throws(GrammarError) -> RuleGraph {
        var least = 0, most: Int?
        for node in conjunction {
            if let count = try document.count("minItems", of: node) { least = max(least, count) }
            if let count = try document.count("maxItems", of: node) { most = min(most ?? count, count) }
        }
        let (first, rest) = try items(conjunction)
        var graph = RuleGraph()
        let open = try graph.node(&builder.budget)
        try graph.add(.text("["), from: graph.start, to: open, &builder.budget)
        if least == 0 { try graph.add(.text("]"), from: open, to: graph.end, &builder.budget) }
        if most == 0 { return graph }
        // Behind `count` items, of which those from the last place on are alike.
        let lastPlace = most ?? max(first.count + 1, least, 1)
        var expects = try graph.node(&builder.budget), count = 0
        try graph.add(space, from: open, to: expects, &builder.budget)
        while count < lastPlace {
            let rule = count < first.count ? first[count] : rest
            count += 1
            guard let rule else { break }
            let after = try graph.node(&builder.budget)
            try graph.add(.call(rule), from: expects, to: after, &builder.budget)
            if count >= least { try graph.add(.sequence([space, .text("]")]), from: after, to: graph.end, &builder.budget) }
            let isLast = count == lastPlace
            if isLast, most != nil { break }
            let next = isLast ? expects : try graph.node(&builder.budget)
            try graph.add(.sequence([.text(","), space]), from: after, to: next, &builder.budget)
            expects = next
        }
        return graph
    }

    /// The rules of the first items, and that of all others; `nil` if there may be none.
    private mutating func items(_ conjunction: Conjunction) throws(GrammarError) -> (first: [Int], rest: Int?) {
        var lists: [(first: [Node], rest: Node?)] = [], isClosed = false
        for node in conjunction {
            var first = try document.children("prefixItems", of: node) ?? [], rest: Node?
            if document.value("items", of: node)?.kind == .array {
                // As it was before the draft of 2020.
                first = try document.children("items", of: node) ?? []
                rest = try document.child("additionalItems", of: node)
            } else {
                rest = try document.child("items", of: node)
            }
            if let rest, document.values[rest].boolean == false { isClosed = true }
            lists.append((first, rest))
        }
        let count = lists.reduce(0) { max($0, $1.first.count) }
        // Where the first items are listed and nothing is said of others, there are none.
        if count > 0, !lists.contains(where: { $0.rest != nil }) { isClosed = true }
        var rules: [Int] = []
        for index in 0..<count {
            rules.append(try rule(for: lists.compactMap { index < $0.first.count ? $0.first[index] : $0.rest }))
        }
        return (rules, isClosed ? nil : try rule(for: lists.compactMap(\.rest)))
    }
}
