/// What a string must be like.
struct StringShape: Hashable {
    struct Pattern: Hashable {
        var source: String
        /// Whether it stands for the whole string.
        var isAnchored: Bool
    }

    var least = 0
    var most: Int?
    var patterns: Set<Pattern> = []

    var isBounded: Bool { least > 0 || most != nil }
}

extension SchemaCompiler {
    mutating func string(_ conjunction: Conjunction) throws(GrammarError) -> Expression {
        var shape = StringShape(), automata: [StringShape.Pattern: RuleAutomaton] = [:]
        for node in conjunction {
            if let least = try document.count("minLength", of: node) { shape.least = max(shape.least, least) }
            if let most = try document.count("maxLength", of: node) { shape.most = min(shape.most ?? most, most) }
            if let pattern = try document.text("pattern", of: node) {
                let key = StringShape.Pattern(source: pattern, isAnchored: false)
                automata[key] = try automaton(key, node, "pattern")
                shape.patterns.insert(key)
            }
            if let format = try document.text("format", of: node), !SchemaFormat.isNumeric(format) {
                guard let source = SchemaFormat.pattern(format) else {
                    throw document.error(node, "format", "unknown format \(format.debugDescription); known are \(SchemaFormat.names)")
                }
                guard !source.isEmpty else { continue }
                let key = StringShape.Pattern(source: source, isAnchored: true)
                automata[key] = try automaton(key, node, "format")
                shape.patterns.insert(key)
            }
        }
        if let most = shape.most, most < shape.least { return .never }
        if let known = stringRules[shape] { return .call(known) }
        let rule = try builder.rule("string", try expression(shape, automata))
        stringRules[shape] = rule
        return .call(rule)
    }

    private mutating func automaton(
        _ pattern: StringShape.Pattern, _ node: Node, _ keyword: String
    ) throws(GrammarError) -> RuleAutomaton {
        let limits = builder.budget.limits
        let expression = try atPlace(node, [keyword]) { () throws(GrammarError) in try RegexParser.parse(pattern.source, limits: limits) }
        return try expression.automaton(encoding: .jsonString, anchored: pattern.isAnchored, &builder.budget)
    }

    private mutating func expression(
        _ shape: StringShape, _ automata: [StringShape.Pattern: RuleAutomaton]
    ) throws(GrammarError) -> Expression {
        func quoted(_ content: Expression) -> Expression { .sequence([.text("\""), content, .text("\"")]) }
        guard shape.patterns.isEmpty else {
            var content: RuleAutomaton?
            // In an order of their own: sets have none.
            for pattern in shape.patterns.sorted(by: { ($0.source, $0.isAnchored ? 1 : 0) < ($1.source, $1.isAnchored ? 1 : 0) }) {
                guard let next = automata[pattern] else { continue }
                content = try content?.combined(with: next, &builder.budget) ?? next
            }
            if shape.isBounded, let pattern = content {
                let length = Expression.repeated(.character(.all), least: shape.least, most: shape.most)
                content = try pattern.combined(with: length.automaton(encoding: .jsonString, &builder.budget), &builder.budget)
            }
            return quoted(.automaton(content ?? .never))
        }
        // Long counts are of calls: a state for each character, and the states within one only once.
        let isLong = max(shape.least, shape.most ?? 0) > 32
        let character = isLong ? Expression.call(try anyCharacterRule()) : JSONText.anyCharacter
        return quoted(.repeated(character, least: shape.least, most: shape.most))
    }

    /// The automaton of strings' contents that a pattern, found anywhere in them, allows.
    mutating func keyAutomaton(pattern: String, _ node: Node) throws(GrammarError) -> RuleAutomaton {
        let limits = builder.budget.limits
        let expression = try atPlace(node, ["patternProperties", pattern]) { () throws(GrammarError) in
            try RegexParser.parse(pattern, limits: limits)
        }
        return try expression.automaton(encoding: .jsonString, anchored: false, &builder.budget)
    }
}
