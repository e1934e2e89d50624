extension Parser {
    private static let unsupportedTags: Set<String> = ["block", "extends", "include", "import", "from", "autoescape"]

    /// After `{%`; leaves its `%}`.
    mutating func parseStatement(at offset: Int) throws(Fault) -> Statement {
        let start = current.offset
        guard case .name(let tag) = current.kind else { throw unexpected("expected the name of a tag") }
        advance()
        let kind: Statement.Kind =
            switch tag {
            case "if": try parseIf()
            case "for": try parseFor()
            case "set": try parseSet()
            case "macro": try parseMacro()
            case "call": try parseCallBlock()
            case "filter": try parseFilterBlock()
            case "with": try parseWith()
            case "print": .print(try parsePrinted())
            case "generation": .scope(try parseClosedBody("endgeneration"))
            case "break", "continue": try parseJump(tag, at: start)
            case _ where Self.unsupportedTags.contains(tag): throw Fault(.unsupported, "the tag '\(tag)' is not supported", at: start)
            default: throw Fault(.syntax, "unknown tag '\(tag)'", at: start)
            }
        return Statement(kind: kind, offset: offset)
    }

    private mutating func parseJump(_ tag: String, at offset: Int) throws(Fault) -> Statement.Kind {
        try checkInLoop(tag, at: offset)
        return tag == "break" ? .leaveLoop : .nextIteration
    }

    private mutating func parsePrinted() throws(Fault) -> Expression {
        let offset = current.offset
        var expressions: [Expression] = []
        while current.kind != .blockEnd {
            if !expressions.isEmpty { try expect(.comma) }
            expressions.append(try parseExpression())
        }
        return try make(.concatenation(expressions), at: offset, over: expressions)
    }

    /// A body that Jinja compiles to a function, which no `break` leaves.
    private mutating func parseClosedBody(_ end: String) throws(Fault) -> [Statement] {
        let body = try parseLoopBody(until: [end], isInLoop: false)
        advance()
        return body
    }

    private mutating func parseIf() throws(Fault) -> Statement.Kind {
        var branches: [(condition: Expression, body: [Statement])] = []
        while true {
            let condition = try parseTuple(withConditional: false)
            branches.append((condition, try parseBlock(until: ["elif", "else", "endif"])))
            if skip("elif") { continue }
            if skip("else") { return .conditional(branches, otherwise: try parseBlock(upTo: "endif")) }
            advance()
            return .conditional(branches, otherwise: [])
        }
    }

    private mutating func parseFor() throws(Fault) -> Statement.Kind {
        let target = try parseTarget(allowsAttributes: false)
        guard skip("in") else { throw unexpected("expected 'in'") }
        let iterable = try parseTuple(withConditional: false, end: "recursive")
        let condition = skip("if") ? try parseExpression() : nil
        if isName("recursive") { throw Fault(.unsupported, "recursive loops are not supported", at: current.offset) }
        let (body, usedNames) = try notingUses { parser throws(Fault) in
            try parser.parseLoopBody(until: ["endfor", "else"], isInLoop: true)
        }
        let otherwise = skip("else") ? try parseBlock(until: ["endfor"]) : []
        advance()
        return .loop(.init(
            target: target, iterable: iterable, condition: condition, body: body, otherwise: otherwise,
            usesLoop: usedNames.contains("loop")))
    }

    private mutating func parseSet() throws(Fault) -> Statement.Kind {
        let target = try parseTarget(allowsAttributes: true)
        if skip(.assign) { return .set(target, try parseTuple()) }
        let filter = isSymbol(.pipe) ? try parseFilters(over: make(.captured, at: current.offset)) : nil
        return .setBlock(target, filter: filter, body: try parseBlock(upTo: "endset"))
    }

    private mutating func parseFilterBlock() throws(Fault) -> Statement.Kind {
        let filter = try parseFilter(over: make(.captured, at: current.offset))
        return .filterBlock(try parseFilters(over: filter), body: try parseBlock(upTo: "endfilter"))
    }

    private mutating func parseWith() throws(Fault) -> Statement.Kind {
        var assignments: [(target: Statement.Target, value: Expression)] = []
        while current.kind != .blockEnd {
            if !assignments.isEmpty { try expect(.comma) }
            let target = try parseTarget(allowsAttributes: false, allowsTuple: false)
            try expect(.assign)
            assignments.append((target, try parseExpression()))
        }
        return .with(assignments, body: try parseBlock(upTo: "endwith"))
    }

    // MARK: Macros

    private mutating func parseMacro() throws(Fault) -> Statement.Kind {
        let name = try parseAssignedName()
        let parameters = try parseParameters()
        return .macro(try parseMacroBody(name, parameters, end: "endmacro"))
    }

    private mutating func parseMacroBody(
        _ name: String, _ parameters: [(name: String, fallback: Expression?)], end: String
    ) throws(Fault) -> MacroDefinition {
        let (body, usedNames) = try notingUses { parser throws(Fault) in try parser.parseClosedBody(end) }
        return MacroDefinition(name: name, parameters: parameters, body: body, usedNames: usedNames)
    }

    private mutating func parseParameters() throws(Fault) -> [(name: String, fallback: Expression?)] {
        try expect(.openParenthesis)
        var parameters: [(name: String, fallback: Expression?)] = []
        while !isSymbol(.closeParenthesis) {
            if !parameters.isEmpty { try expect(.comma) }
            let offset = current.offset
            let name = try parseAssignedName()
            guard !parameters.contains(where: { $0.name == name }) else {
                throw Fault(.syntax, "parameter '\(name)' appears twice", at: offset)
            }
            let fallback = skip(.assign) ? try parseExpression() : nil
            if fallback == nil, parameters.last?.fallback != nil {
                throw Fault(.syntax, "a parameter without default follows one with a default", at: offset)
            }
            parameters.append((name, fallback))
        }
        advance()
        return parameters
    }

    private mutating func parseCallBlock() throws(Fault) -> Statement.Kind {
        let parameters = isSymbol(.openParenthesis) ? try parseParameters() : []
        let call = try parseExpression()
        guard case .call = call.kind else { throw Fault(.syntax, "expected a call", at: call.offset) }
        return .callBlock(try parseMacroBody("caller", parameters, end: "endcall"), call)
    }

    // MARK: Targets

    private mutating func parseAssignedName() throws(Fault) -> String {
        let offset = current.offset
        let name = try expectName()
        guard !["true", "false", "none", "True", "False", "None"].contains(name) else {
            throw Fault(.syntax, "cannot assign to '\(name)'", at: offset)
        }
        return name
    }

    /// Names, attributes of namespaces where allowed, or tuples of these.
    private mutating func parseTarget(allowsAttributes: Bool, allowsTuple: Bool = true) throws(Fault) -> Statement.Target {
        try nested { parser throws(Fault) in
            var targets: [Statement.Target] = []
            var isTuple = false
            while true {
                if parser.skip(.openParenthesis) {
                    targets.append(try parser.parseTarget(allowsAttributes: allowsAttributes))
                    try parser.expect(.closeParenthesis)
                } else {
                    let name = try parser.parseAssignedName()
                    if allowsAttributes, parser.skip(.dot) {
                        parser.noteUse(of: name)
                        targets.append(.attribute(namespace: name, name: try parser.expectName()))
                    } else {
                        targets.append(.name(name))
                    }
                }
                guard allowsTuple, parser.skip(.comma) else { break }
                isTuple = true
                if parser.isName("in") || parser.isSymbol(.assign) || parser.isSymbol(.closeParenthesis) { break }
            }
            return isTuple ? .tuple(targets) : targets[0]
        }
    }
}
