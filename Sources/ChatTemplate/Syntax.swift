/// An expression of a template, as the parser leaves it.
final class Expression: Sendable {
    indirect enum Kind: Sendable {
        case literal(Literal)
        case name(String)
        case list([Expression])
        case tuple([Expression])
        case dictionary([(key: Expression, value: Expression)])
        case attribute(Expression, String)
        case item(Expression, Expression)
        case slice(Expression, from: Expression?, to: Expression?, by: Expression?)
        case call(Expression, Arguments)
        case filter(Expression, Filter, Arguments)
        case test(Expression, Test, Arguments)
        case negative(Expression)
        case positive(Expression)
        case not(Expression)
        case arithmetic(Arithmetic, Expression, Expression)
        case concatenation([Expression])
        case comparison(Expression, [(operation: Comparison, operand: Expression)])
        case all([Expression])
        case any([Expression])
        case conditional(condition: Expression, then: Expression, otherwise: Expression?)
        /// The text of the block that a filter is applied to.
        case captured
    }

    enum Literal: Sendable {
        case null
        case boolean(Bool)
        case integer(Int)
        case float(Double)
        case text(Text)
    }

    enum Arithmetic: String, Sendable {
        case add = "+", subtract = "-", multiply = "*", divide = "/", floorDivide = "//", modulo = "%", power = "**"
    }

    enum Comparison: String, Sendable {
        case equal = "==", notEqual = "!=", less = "<", lessOrEqual = "<=", greater = ">", greaterOrEqual = ">=", within = "in"
        case notWithin = "not in"
    }

    struct Arguments: Sendable {
        var positional: [Expression] = []
        var keywords: [(name: String, value: Expression)] = []
        /// Behind `*` and `**`.
        var moreSequence: Expression?
        var moreMapping: Expression?

        var expressions: [Expression] { positional + keywords.map(\.value) + [moreSequence, moreMapping].compactMap { $0 } }
    }

    let kind: Kind
    /// In bytes from the start of the source.
    let offset: Int
    /// Expressions on the longest way down from here; bounded by the parser.
    let height: Int

    init(_ kind: Kind, offset: Int, height: Int) {
        self.kind = kind
        self.offset = offset
        self.height = height
    }
}

/// A statement of a template.
struct Statement: Sendable {
    indirect enum Kind: Sendable {
        case text(Text)
        case print(Expression)
        case conditional([(condition: Expression, body: [Statement])], otherwise: [Statement])
        case loop(Loop)
        case set(Target, Expression)
        /// The text of a body, through `filter` if there is one.
        case setBlock(Target, filter: Expression?, body: [Statement])
        case macro(MacroDefinition)
        /// `call`: the body becomes the macro `caller` of the call.
        case callBlock(MacroDefinition, Expression)
        case filterBlock(Expression, body: [Statement])
        case with([(target: Target, value: Expression)], body: [Statement])
        /// A body with variables of its own: `generation`.
        case scope([Statement])
        case leaveLoop
        case nextIteration
    }

    /// What is assigned to.
    indirect enum Target: Sendable {
        case name(String)
        case attribute(namespace: String, name: String)
        case tuple([Target])
    }

    struct Loop: Sendable {
        let target: Target
        let iterable: Expression
        let condition: Expression?
        let body: [Statement]
        let otherwise: [Statement]
        /// Whether the body speaks of `loop`: only then does Jinja look ahead.
        let usesLoop: Bool
    }

    let kind: Kind
    let offset: Int
}

final class MacroDefinition: Sendable {
    let name: String
    let parameters: [(name: String, fallback: Expression?)]
    let body: [Statement]
    /// Whether the body speaks of `caller`, `kwargs` and `varargs`, which are given only then.
    let takesCaller: Bool
    let takesKeywords: Bool
    let takesMore: Bool

    init(name: String, parameters: [(name: String, fallback: Expression?)], body: [Statement], usedNames: Set<String>) {
        self.name = name
        self.parameters = parameters
        self.body = body
        takesCaller = usedNames.contains("caller") && !parameters.contains { $0.name == "caller" }
        takesKeywords = usedNames.contains("kwargs")
        takesMore = usedNames.contains("varargs")
    }
}
