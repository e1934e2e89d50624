import JSONReader

/// Follows `$ref`, `allOf`, `anyOf` and `oneOf`, until a value's schema is a choice between sets of plain schemas that it must obey
/// all at once.
struct SchemaExpansion {
    typealias Node = SchemaDocument.Node
    /// Schemas, ascending, of which only what they say themselves counts.
    typealias Conjunction = [Node]

    var document: SchemaDocument
    private let limits: GrammarLimits
    private var known: [Node: [Conjunction]] = [:]
    /// Where the expansion is; to come back there would be to go round for ever.
    private var path: [Node] = []

    init(_ document: SchemaDocument, limits: GrammarLimits) {
        self.document = document
        self.limits = limits
    }

    /// The alternatives of a value that must obey all of `nodes`; none if nothing can.
    mutating func alternatives(of nodes: [Node]) throws(GrammarError) -> [Conjunction] {
        var all: [Conjunction] = [[]]
        for node in nodes { all = try Self.product(all, try alternatives(of: node), limits) }
        return all
    }

    private mutating func alternatives(of node: Node) throws(GrammarError) -> [Conjunction] {
        if let known = known[node] { return known }
        if let boolean = document.values[node].boolean { return boolean ? [[]] : [] }
        guard !path.contains(node) else {
            throw .schema(pointer: document.pointers[node], "refers to itself with no value in between")
        }
        guard path.count < limits.nesting else { throw .tooComplex(.nesting) }
        path.append(node)
        defer { path.removeLast() }
        try document.check(node)
        var all: [Conjunction] = [document.saysSomething(node) ? [node] : []]
        if let target = try document.referenced(by: node) { all = try Self.product(all, try alternatives(of: target), limits) }
        for child in try document.children("allOf", of: node) ?? [] {
            all = try Self.product(all, try alternatives(of: child), limits)
        }
        for keyword in ["anyOf", "oneOf"] {
            guard let children = try document.children(keyword, of: node) else { continue }
            guard !children.isEmpty else { throw document.error(node, keyword, "expected at least one schema") }
            var choices: [[Conjunction]] = []
            for child in children { choices.append(try alternatives(of: child)) }
            if keyword == "oneOf" { try checkDisjoint(choices, node) }
            var union: [Conjunction] = [], seen = Set<Conjunction>()
            for conjunction in choices.joined() where seen.insert(conjunction).inserted { union.append(conjunction) }
            all = try Self.product(all, union, limits)
        }
        known[node] = all
        return all
    }

    private static func product(
        _ left: [Conjunction], _ right: [Conjunction], _ limits: GrammarLimits
    ) throws(GrammarError) -> [Conjunction] {
        guard left.count * right.count <= limits.alternatives else { throw .tooComplex(.alternatives) }
        if right == [[]] { return left }
        var product: [Conjunction] = [], seen = Set<Conjunction>()
        for first in left {
            for second in right {
                let both = Set(first + second).sorted()
                if seen.insert(both).inserted { product.append(both) }
            }
        }
        return product
    }

    // MARK: oneOf

    /// `oneOf` is enforced as `anyOf`, which is the same where no value fits two of the schemas. That must be seen from their types,
    /// their values, or an object's property.
    private mutating func checkDisjoint(_ choices: [[Conjunction]], _ node: Node) throws(GrammarError) {
        for (index, first) in choices.enumerated() {
            for (other, second) in choices.enumerated().dropFirst(index + 1) {
                for one in first {
                    for two in second where try !areDisjoint(one, two) {
                        throw document.error(
                            node, "oneOf",
                            "schemas \(index) and \(other) may both fit a value, which cannot be enforced; use anyOf, or a property whose value tells them apart")
                    }
                }
            }
        }
    }

    private mutating func areDisjoint(_ one: Conjunction, _ two: Conjunction) throws(GrammarError) -> Bool {
        let common = try kinds(one).intersection(try kinds(two))
        if common.isEmpty { return true }
        if let first = try SchemaValues.allowed(by: one, document), let second = try SchemaValues.allowed(by: two, document) {
            return !first.contains { value in second.contains { SchemaValues.areEqual(value, $0) } }
        }
        guard common == .object else { return false }
        if try isToldApart(one, two) { return true }
        return try isToldApart(two, one)
    }

    /// Whether `one` requires a property that `two` refuses, or whose values there are all different.
    private mutating func isToldApart(_ one: Conjunction, _ two: Conjunction) throws(GrammarError) -> Bool {
        for node in one {
            for name in try document.texts("required", of: node) {
                if try refuses(name, two) { return true }
                guard let first = try values(of: name, one), let second = try values(of: name, two) else { continue }
                if !first.contains(where: { value in second.contains { SchemaValues.areEqual(value, $0) } }) { return true }
            }
        }
        return false
    }

    private mutating func refuses(_ name: String, _ conjunction: Conjunction) throws(GrammarError) -> Bool {
        for node in conjunction where document.value("additionalProperties", of: node)?.boolean == false {
            let isNamed = try document.members("properties", of: node).contains { $0.name == name }
            if !isNamed, document.value("patternProperties", of: node) == nil { return true }
        }
        return false
    }

    /// The values that a property may have, if they are listed.
    private mutating func values(of name: String, _ conjunction: Conjunction) throws(GrammarError) -> [SchemaValues.Value]? {
        for node in conjunction {
            for member in try document.members("properties", of: node) where member.name == name {
                if let values = try SchemaValues.allowed(by: [member.node], document) { return values }
            }
        }
        return nil
    }

    func kinds(_ conjunction: Conjunction) throws(GrammarError) -> ValueKinds {
        var kinds = ValueKinds.all
        for node in conjunction { kinds.formIntersection(try document.kinds(node)) }
        return kinds
    }
}
