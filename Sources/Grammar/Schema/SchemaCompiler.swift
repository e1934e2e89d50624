import JSONReader

/// JSON Schema to an automaton whose answers all obey the schema.
///
/// What is enforced: `type` (also lists), `nullable`, `enum`, `const`, `properties`, `required`, `additionalProperties`,
/// `patternProperties` (apart from each other), `minProperties`, `maxProperties`, `items`, `prefixItems`, `minItems`, `maxItems`, `minLength`,
/// `maxLength`, `pattern`, `format` (``SchemaFormat``), `minimum`, `maximum` and their exclusive forms, `anyOf`, `allOf`, `oneOf` where its schemas can be
/// seen to exclude each other, and `$ref` within the document, recursion included. Annotations are passed over. Anything else is
/// refused, by its JSON pointer.
///
/// An answer is narrower than the schema in these ways. Properties come in the schema's order, those that it does not name last. Where
/// `properties` are named, others may come only if `additionalProperties` says so. Without `type`, other keywords say which one is meant. White space
/// is a space, or a line end and up to 32 spaces, and only where printers put it. Strings with a pattern, format or
/// list of values escape only what must be, and bounded numbers have no exponent. It is wider in one: a name that the schema does not list may come
/// twice, and then its last value counts, as readers of JSON have it; both values obey the schema.
public struct SchemaCompiler {
    typealias Node = SchemaDocument.Node
    typealias Conjunction = SchemaExpansion.Conjunction

    var expansion: SchemaExpansion
    var builder: AutomatonBuilder
    /// Rules by the schemas that their value obeys.
    private var valueRules: [[Node]: Int] = [:]
    /// Rules of one kind of values by the plain schemas that these obey.
    private var kindRules: [KindKey: Int] = [:]
    var stringRules: [StringShape: Int] = [:]
    /// Rules that are declared and not defined yet.
    private var waiting: [Task] = []
    /// What may stand behind `{`, `[` and `,`, and before `}` and `]`.
    private(set) var space: Expression = .empty
    private var anyCharacter: Int?

    private struct KindKey: Hashable {
        var conjunction: Conjunction
        var isObject: Bool
    }

    private enum Task {
        case value(rule: Int, nodes: [Node])
        case object(rule: Int, Conjunction)
        case array(rule: Int, Conjunction)
    }

    static func automaton(_ source: String, limits: GrammarLimits) throws(GrammarError) -> Automaton {
        var compiler = SchemaCompiler(try SchemaDocument(source, limits: limits), limits: limits)
        return try compiler.compile()
    }

    private init(_ document: SchemaDocument, limits: GrammarLimits) {
        expansion = SchemaExpansion(document, limits: limits)
        builder = AutomatonBuilder(limits: limits)
    }

    var document: SchemaDocument {
        get { expansion.document }
        _modify { yield &expansion.document }
    }

    private mutating func compile() throws(GrammarError) -> Automaton {
        let root = try builder.declare("the root")
        let indentation = Expression.sequence([.text("\n"), .repeated(.text(" "), least: 0, most: 32)])
        space = .call(try builder.rule("space", .optional(.choice([.text(" "), indentation]))))
        valueRules[[0]] = root
        waiting = [.value(rule: root, nodes: [0])]
        while let task = waiting.popLast() {
            switch task {
            case .value(let rule, let nodes): try builder.define(rule, try value(of: nodes))
            case .object(let rule, let conjunction): builder.define(rule, try objectGraph(conjunction))
            case .array(let rule, let conjunction): builder.define(rule, try arrayGraph(conjunction))
            }
        }
        return try builder.build()
    }

    /// The rule of a value that obeys all of `nodes`.
    mutating func rule(for nodes: [Node]) throws(GrammarError) -> Int {
        let key = Set(nodes.filter { document.values[$0].boolean != true }).sorted()
        if let known = valueRules[key] { return known }
        let rule = try builder.declare(key.first.map { document.pointers[$0] } ?? "any value")
        valueRules[key] = rule
        waiting.append(.value(rule: rule, nodes: key))
        return rule
    }

    private mutating func value(of nodes: [Node]) throws(GrammarError) -> Expression {
        var choices: [Expression] = []
        for conjunction in try expansion.alternatives(of: nodes) { choices.append(try plainValue(of: conjunction)) }
        return .choice(choices)
    }

    private mutating func plainValue(of conjunction: Conjunction) throws(GrammarError) -> Expression {
        if let values = try SchemaValues.allowed(by: conjunction, document) {
            for node in conjunction {
                if let keyword = document.firstAssertion(node) {
                    throw document.error(node, keyword, "beside enum or const it cannot be enforced; leave the values that it allows")
                }
            }
            return .choice(values.map { SchemaValues.expression(of: $0, space: space) })
        }
        let kinds = try expansion.kinds(conjunction)
        var choices: [Expression] = []
        if kinds.contains(.null) { choices.append(.text("null")) }
        if kinds.contains(.boolean) { choices += [.text("true"), .text("false")] }
        if !kinds.isDisjoint(with: .number) { choices.append(try number(conjunction, isInteger: !kinds.contains(.fraction))) }
        if kinds.contains(.string) { choices.append(try string(conjunction)) }
        if kinds.contains(.array) { choices.append(.call(try rule(of: conjunction, isObject: false))) }
        if kinds.contains(.object) { choices.append(.call(try rule(of: conjunction, isObject: true))) }
        return .choice(choices)
    }

    private mutating func rule(of conjunction: Conjunction, isObject: Bool) throws(GrammarError) -> Int {
        let key = KindKey(conjunction: conjunction, isObject: isObject)
        if let known = kindRules[key] { return known }
        let rule = try builder.declare((isObject ? "object " : "array ") + (conjunction.first.map { document.pointers[$0] } ?? ""))
        kindRules[key] = rule
        waiting.append(isObject ? .object(rule: rule, conjunction) : .array(rule: rule, conjunction))
        return rule
    }

    /// One character of a string, in any spelling.
    mutating func anyCharacterRule() throws(GrammarError) -> Int {
        if let anyCharacter { return anyCharacter }
        let rule = try builder.rule("character", JSONText.anyCharacter)
        anyCharacter = rule
        return rule
    }

    /// Errors of the sources of patterns, at the place where the schema has them.
    func atPlace<Result>(
        _ node: Node, _ steps: [String], _ body: () throws(GrammarError) -> Result
    ) throws(GrammarError) -> Result {
        do {
            return try body()
        } catch .syntax(_, let offset, let problem) {
            let pointer = steps.reduce(document.pointers[node]) { $0 + "/" + $1.replacing("~", with: "~0").replacing("/", with: "~1") }
            throw .schema(pointer: pointer, "byte \(offset) of the pattern: \(problem)")
        }
    }
}
