import JSONReader

extension SchemaCompiler {
    /// A bound of a number.
    struct Bound {
        var value: Decimal
        /// Whether the bound itself is left out.
        var isStrict: Bool
    }

    mutating func number(_ conjunction: Conjunction, isInteger: Bool) throws(GrammarError) -> Expression {
        var lower: Bound?, upper: Bound?
        func narrowLower(_ bound: Bound) {
            guard let old = lower else { return lower = bound }
            if old.value < bound.value || old.value == bound.value && bound.isStrict { lower = bound }
        }
        func narrowUpper(_ bound: Bound) {
            guard let old = upper else { return upper = bound }
            if bound.value < old.value || old.value == bound.value && bound.isStrict { upper = bound }
        }
        for node in conjunction {
            // In the fourth draft, the exclusive forms are flags.
            let isLowerStrict = document.value("exclusiveMinimum", of: node)?.boolean ?? false
            let isUpperStrict = document.value("exclusiveMaximum", of: node)?.boolean ?? false
            if let value = try decimal("minimum", of: node) { narrowLower(Bound(value: value, isStrict: isLowerStrict)) }
            if let value = try decimal("maximum", of: node) { narrowUpper(Bound(value: value, isStrict: isUpperStrict)) }
            if let value = try decimal("exclusiveMinimum", of: node) { narrowLower(Bound(value: value, isStrict: true)) }
            if let value = try decimal("exclusiveMaximum", of: node) { narrowUpper(Bound(value: value, isStrict: true)) }
            if let format = document.value("format", of: node)?.text, let bounds = SchemaFormat.bounds(format) {
                narrowLower(Bound(value: bounds.least, isStrict: false))
                narrowUpper(Bound(value: bounds.greatest, isStrict: false))
            }
        }
        guard lower != nil || upper != nil else { return isInteger ? NumberShape.integer : NumberShape.number }
        return try NumberShape.expression(from: lower, to: upper, isInteger: isInteger, &builder.budget)
    }

    private func decimal(_ keyword: String, of node: Node) throws(GrammarError) -> Decimal? {
        guard let value = document.value(keyword, of: node) else { return nil }
        if keyword.hasPrefix("exclusive"), value.boolean != nil { return nil }
        guard let digits = value.digits else { throw document.error(node, keyword, "expected a number, found \(value.shown)") }
        guard let decimal = Decimal(Array(digits)) else { throw document.error(node, keyword, "more digits than can be enforced") }
        return decimal
    }
}

/// Numbers as they are written, by their digits.
private enum NumberShape {
    typealias Bound = SchemaCompiler.Bound

    private static let digit = Expression.range("0", "9")
    private static let digits = Expression.repeated(digit, least: 0, most: nil)
    private static let magnitude = Expression.choice([.text("0"), .sequence([.range("1", "9"), digits])])
    /// At least a point and a digit.
    private static let anyFraction = Expression.sequence([.text("."), digit, digits])

    static let integer = Expression.sequence([.optional(.text("-")), magnitude])
    static let number = Expression.sequence([
        integer, .optional(anyFraction),
        .optional(.sequence([.character(ScalarSet(characters: "eE")), .optional(.character(ScalarSet(characters: "+-"))), digit, digits])),
    ])

    /// Without exponents, and with no more digits behind the point than any reader tells apart from the bounds.
    static func expression(
        from lower: Bound?, to upper: Bound?, isInteger: Bool, _ budget: inout Budget
    ) throws(GrammarError) -> Expression {
        let places = max(6, lower?.value.fraction.count ?? 0, upper?.value.fraction.count ?? 0)
        let fraction = Expression.sequence([.text("."), .repeated(digit, least: 1, most: places)])
        let shape = isInteger ? magnitude : .sequence([magnitude, .optional(fraction)])
        var choices: [Expression] = []
        // From zero on.
        if upper.map({ !($0.value < .zero) && !($0.value.isZero && $0.isStrict) }) ?? true {
            let least = lower.flatMap { $0.value.isNegative ? nil : $0 }
            choices.append(.automaton(try magnitudes(from: least, to: upper, shape, &budget)))
        }
        // Below zero, by magnitude; zero itself has no sign here.
        if lower?.value.isNegative ?? true {
            let nearest = upper.flatMap { $0.value.isNegative ? Bound(value: $0.value.negated, isStrict: $0.isStrict) : nil }
            let farthest = lower.map { Bound(value: $0.value.negated, isStrict: $0.isStrict) }
            let range = try magnitudes(from: nearest ?? Bound(value: .zero, isStrict: true), to: farthest, shape, &budget)
            choices.append(.sequence([.text("-"), .automaton(range)]))
        }
        return .choice(choices)
    }

    private static func magnitudes(
        from lower: Bound?, to upper: Bound?, _ shape: Expression, _ budget: inout Budget
    ) throws(GrammarError) -> RuleAutomaton {
        var found = try shape.automaton(encoding: .utf8, &budget)
        if let lower { found = try found.combined(with: atLeast(lower).automaton(encoding: .utf8, &budget), &budget) }
        if let upper { found = try found.combined(with: atMost(upper).automaton(encoding: .utf8, &budget), &budget) }
        return found
    }

    private static func text(_ digits: some Collection<UInt8>) -> Expression { .bytes(digits.map { $0 + 0x30 }) }

    private static func digit(above digit: UInt8) -> Expression {
        digit == 9 ? .never : .character(ScalarSet([UInt32(digit) + 0x31...0x39]))
    }

    private static func digit(below digit: UInt8) -> Expression {
        digit == 0 ? .never : .character(ScalarSet([0x30...UInt32(digit) + 0x2F]))
    }

    /// Digits before the point, without leading zeros, of a bound; never none.
    private static func whole(_ bound: Bound) -> [UInt8] { bound.value.whole.isEmpty ? [0] : bound.value.whole }

    /// Magnitudes from that of `bound` on. What is no number is left to the shape.
    private static func atLeast(_ bound: Bound) -> Expression {
        let whole = whole(bound), fraction = bound.value.fraction, rest = Expression.sequence([digits, .optional(anyFraction)])
        // More digits before the point, none of them leading zeros.
        var choices: [Expression] = [.sequence([.range("1", "9"), .repeated(digit, least: whole.count, most: nil), .optional(anyFraction)])]
        for (place, own) in whole.enumerated() {
            let same = Expression.repeated(digit, least: whole.count - place - 1, most: whole.count - place - 1)
            choices.append(.sequence([text(whole[..<place]), digit(above: own), same, .optional(anyFraction)]))
        }
        var behind: [Expression] = []
        for (place, own) in fraction.enumerated() {
            behind.append(.sequence([.text("."), text(fraction[..<place]), digit(above: own), digits]))
        }
        let zeros = Expression.repeated(.text("0"), least: 0, most: nil)
        if bound.isStrict {
            behind.append(.sequence([.text("."), text(fraction), zeros, .range("1", "9"), digits]))
        } else {
            behind.append(fraction.isEmpty ? rest : .sequence([.text("."), text(fraction), digits]))
        }
        if fraction.isEmpty, !bound.isStrict { behind = [.optional(anyFraction)] }
        choices.append(.sequence([text(whole), .choice(behind)]))
        return .choice(choices)
    }

    /// Magnitudes up to that of `bound`.
    private static func atMost(_ bound: Bound) -> Expression {
        let whole = whole(bound), fraction = bound.value.fraction
        var choices: [Expression] = []
        if whole.count > 1 { choices.append(.sequence([.repeated(digit, least: 1, most: whole.count - 1), .optional(anyFraction)])) }
        for (place, own) in whole.enumerated() {
            let same = Expression.repeated(digit, least: whole.count - place - 1, most: whole.count - place - 1)
            choices.append(.sequence([text(whole[..<place]), digit(below: own), same, .optional(anyFraction)]))
        }
        let zeros = Expression.repeated(.text("0"), least: 0, most: nil)
        var behind: [Expression] = []
        if !fraction.isEmpty || !bound.isStrict { behind.append(.empty) }
        for (place, own) in fraction.enumerated() {
            behind.append(.sequence([.text("."), text(fraction[..<place]), digit(below: own), digits]))
            // A beginning of the bound's digits is less than it, since its last digit is none of zero.
            if place > 0 { behind.append(.sequence([.text("."), text(fraction[..<place])])) }
        }
        if !bound.isStrict {
            let first: [Expression] = fraction.isEmpty ? [.text("."), .text("0")] : [.text("."), text(fraction)]
            behind.append(.sequence(first + [zeros]))
        }
        choices.append(.sequence([text(whole), .choice(behind)]))
        return .choice(choices)
    }
}
