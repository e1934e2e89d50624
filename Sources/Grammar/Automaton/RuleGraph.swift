/// A rule as a graph: nodes, and edges that take a byte, a whole rule or nothing. What parsers build.
struct RuleGraph {
    enum Label: Sendable, Hashable {
        case nothing
        case bytes(ClosedRange<UInt8>)
        case call(Int)
        case textStart, textEnd
    }

    struct Edge: Sendable {
        var label: Label
        var target: Int
    }

    private(set) var edges: [[Edge]] = [[], []]
    private(set) var hasAnchors = false
    let encoding: CharacterEncoding
    let start = 0
    let end = 1

    init(encoding: CharacterEncoding = .utf8) { self.encoding = encoding }

    /// The graph of one expression.
    init(_ expression: Expression, encoding: CharacterEncoding = .utf8, _ budget: inout Budget) throws(GrammarError) {
        self.init(encoding: encoding)
        try add(expression, from: start, to: end, &budget)
    }

    mutating func node(_ budget: inout Budget) throws(GrammarError) -> Int {
        guard edges.count < budget.limits.states else { throw .tooComplex(.states) }
        try budget.spend(1)
        edges.append([])
        return edges.count - 1
    }

    mutating func link(_ label: Label, from source: Int, to target: Int) {
        edges[source].append(Edge(label: label, target: target))
    }

    mutating func add(_ expression: Expression, from source: Int, to target: Int, _ budget: inout Budget) throws(GrammarError) {
        try budget.spend(1)
        switch expression {
        case .never: return
        case .empty: link(.nothing, from: source, to: target)
        case .call(let rule): link(.call(rule), from: source, to: target)
        case .textStart, .textEnd:
            hasAnchors = true
            link(expression == .textStart ? .textStart : .textEnd, from: source, to: target)
        case .bytes(let bytes): try addPath(bytes.map { $0...$0 }, from: source, to: target, &budget)
        case .character(let set):
            for spelling in encoding.spellings(of: set) { try addPath(spelling, from: source, to: target, &budget) }
        case .choice(let choices):
            for choice in choices { try add(choice, from: source, to: target, &budget) }
        case .sequence(let parts):
            guard let last = parts.last else { return link(.nothing, from: source, to: target) }
            var place = source
            for part in parts.dropLast() {
                let next = try node(&budget)
                try add(part, from: place, to: next, &budget)
                place = next
            }
            try add(last, from: place, to: target, &budget)
        case .repeated(let part, let least, let most):
            try addRepeated(part, least: least, most: most, from: source, to: target, &budget)
        case .automaton(let automaton): try addCopy(of: automaton, from: source, to: target, &budget)
        }
    }

    private mutating func addPath(
        _ path: [ClosedRange<UInt8>], from source: Int, to target: Int, _ budget: inout Budget
    ) throws(GrammarError) {
        guard let last = path.last else { return link(.nothing, from: source, to: target) }
        var place = source
        for range in path.dropLast() {
            let next = try node(&budget)
            link(.bytes(range), from: place, to: next)
            place = next
        }
        link(.bytes(last), from: place, to: target)
    }

    private mutating func addRepeated(
        _ part: Expression, least: Int, most: Int?, from source: Int, to target: Int, _ budget: inout Budget
    ) throws(GrammarError) {
        // A node of its own keeps loops from leaking into what stands beside.
        var place = try node(&budget)
        link(.nothing, from: source, to: place)
        for _ in 0..<least {
            let next = try node(&budget)
            try add(part, from: place, to: next, &budget)
            place = next
        }
        if let most {
            for _ in least..<max(least, most) {
                link(.nothing, from: place, to: target)
                let next = try node(&budget)
                try add(part, from: place, to: next, &budget)
                place = next
            }
        } else {
            try add(part, from: place, to: place, &budget)
        }
        link(.nothing, from: place, to: target)
    }

    private mutating func addCopy(
        of automaton: RuleAutomaton, from source: Int, to target: Int, _ budget: inout Budget
    ) throws(GrammarError) {
        let offset = edges.count
        for _ in automaton.states { _ = try node(&budget) }
        link(.nothing, from: source, to: offset)
        for (index, state) in automaton.states.enumerated() {
            try budget.spend(state.edges.count)
            for edge in state.edges { link(.bytes(edge.low...edge.high), from: offset + index, to: offset + Int(edge.target)) }
            if state.isFinal { link(.nothing, from: offset + index, to: target) }
        }
    }
}
