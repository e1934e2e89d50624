extension Parser {
    /// One expression, or several with commas between them, which are a tuple.
    mutating func parseTuple(withConditional: Bool = true, end: String? = nil, inParentheses: Bool = false) throws(Fault) -> Expression {
        let offset = current.offset
        var elements: [Expression] = []
        var isTuple = false
        while !isTupleEnd(end) {
            elements.append(try parseExpression(withConditional: withConditional))
            guard skip(.comma) else { break }
            isTuple = true
        }
        if !isTuple, let only = elements.first { return only }
        guard isTuple || inParentheses else { throw unexpected("expected an expression") }
        return try make(.tuple(elements), at: offset, over: elements)
    }

    private func isTupleEnd(_ end: String?) -> Bool {
        switch current.kind {
        case .variableEnd, .blockEnd, .symbol(.closeParenthesis): true
        case .name(let name): name == end
        default: false
        }
    }

    mutating func parseExpression(withConditional: Bool = true) throws(Fault) -> Expression {
        try nested { parser throws(Fault) in
            withConditional ? try parser.parseConditional() : try parser.parseOr()
        }
    }

    private mutating func parseConditional() throws(Fault) -> Expression {
        var expression = try parseOr()
        while isName("if") {
            let offset = advance().offset
            let condition = try parseOr()
            let otherwise = skip("else") ? try parseExpression() : nil
            expression = try make(
                .conditional(condition: condition, then: expression, otherwise: otherwise), at: offset,
                over: [condition, expression] + (otherwise.map { [$0] } ?? []))
        }
        return expression
    }

    private mutating func parseOr() throws(Fault) -> Expression {
        let offset = current.offset
        var operands = [try parseAnd()]
        while skip("or") { operands.append(try parseAnd()) }
        return operands.count == 1 ? operands[0] : try make(.any(operands), at: offset, over: operands)
    }

    private mutating func parseAnd() throws(Fault) -> Expression {
        let offset = current.offset
        var operands = [try parseNot()]
        while skip("and") { operands.append(try parseNot()) }
        return operands.count == 1 ? operands[0] : try make(.all(operands), at: offset, over: operands)
    }

    private mutating func parseNot() throws(Fault) -> Expression {
        guard isName("not") else { return try parseComparison() }
        let offset = advance().offset
        let operand = try nested { parser throws(Fault) in try parser.parseNot() }
        return try make(.not(operand), at: offset, over: [operand])
    }

    private mutating func parseComparison() throws(Fault) -> Expression {
        let first = try parseSum()
        var offset = current.offset
        var operands: [(operation: Expression.Comparison, operand: Expression)] = []
        while let operation = comparison() {
            if operands.isEmpty { offset = current.offset }
            advance()
            if operation == .notWithin { advance() }
            operands.append((operation, try parseSum()))
        }
        if operands.isEmpty { return first }
        return try make(.comparison(first, operands), at: offset, over: [first] + operands.map(\.operand))
    }

    private func comparison() -> Expression.Comparison? {
        switch current.kind {
        case .symbol(.equal): .equal
        case .symbol(.notEqual): .notEqual
        case .symbol(.less): .less
        case .symbol(.lessOrEqual): .lessOrEqual
        case .symbol(.greater): .greater
        case .symbol(.greaterOrEqual): .greaterOrEqual
        case .name("in"): .within
        case .name("not") where following.kind == .name("in"): .notWithin
        default: nil
        }
    }

    // MARK: Arithmetic

    private mutating func parseSum() throws(Fault) -> Expression {
        var left = try parseConcatenation()
        while isSymbol(.plus) || isSymbol(.minus) {
            let token = advance()
            let right = try parseConcatenation()
            left = try make(.arithmetic(token.kind == .symbol(.plus) ? .add : .subtract, left, right), at: token.offset, over: [left, right])
        }
        return left
    }

    private mutating func parseConcatenation() throws(Fault) -> Expression {
        let offset = current.offset
        var operands = [try parseProduct()]
        while skip(.tilde) { operands.append(try parseProduct()) }
        return operands.count == 1 ? operands[0] : try make(.concatenation(operands), at: offset, over: operands)
    }

    private mutating func parseProduct() throws(Fault) -> Expression {
        var left = try parsePower()
        while case .symbol(let symbol) = current.kind,
            [.multiply, .divide, .floorDivide, .modulo].contains(symbol), let operation = Expression.Arithmetic(rawValue: symbol.rawValue) {
            let offset = advance().offset
            let right = try parsePower()
            left = try make(.arithmetic(operation, left, right), at: offset, over: [left, right])
        }
        return left
    }

    /// From the left, unlike Python.
    private mutating func parsePower() throws(Fault) -> Expression {
        var left = try parseUnary()
        while isSymbol(.power) {
            let offset = advance().offset
            let right = try parseUnary()
            left = try make(.arithmetic(.power, left, right), at: offset, over: [left, right])
        }
        return left
    }

    private mutating func parseUnary(withFilters: Bool = true) throws(Fault) -> Expression {
        var expression: Expression
        if isSymbol(.minus) || isSymbol(.plus) {
            let token = advance()
            let operand = try nested { parser throws(Fault) in try parser.parseUnary(withFilters: false) }
            expression = try make(token.kind == .symbol(.minus) ? .negative(operand) : .positive(operand), at: token.offset, over: [operand])
        } else {
            expression = try parsePrimary()
        }
        expression = try parsePostfix(expression)
        guard withFilters else { return expression }
        while true {
            if isSymbol(.pipe) {
                expression = try parseFilters(over: expression)
            } else if isName("is") {
                expression = try parseTest(of: expression)
            } else if isSymbol(.openParenthesis) {
                expression = try parseCall(of: expression)
            } else {
                return expression
            }
        }
    }

    // MARK: Primaries

    private mutating func parsePrimary() throws(Fault) -> Expression {
        let token = current
        switch token.kind {
        case .name(let name):
            advance()
            return try parseName(name, at: token.offset)
        case .string(var text):
            advance()
            while case .string(let more) = current.kind {
                text.append(more)
                advance()
            }
            return try make(.literal(.text(text)), at: token.offset)
        case .integer(let value):
            advance()
            return try make(.literal(.integer(value)), at: token.offset)
        case .float(let value):
            advance()
            return try make(.literal(.float(value)), at: token.offset)
        case .symbol(.openParenthesis):
            advance()
            let expression = try nested { parser throws(Fault) in try parser.parseTuple(inParentheses: true) }
            try expect(.closeParenthesis)
            return expression
        case .symbol(.openBracket): return try parseList()
        case .symbol(.openBrace): return try parseDictionary()
        default: throw unexpected("expected an expression")
        }
    }

    private mutating func parseName(_ name: String, at offset: Int) throws(Fault) -> Expression {
        switch name {
        case "true", "True": return try make(.literal(.boolean(true)), at: offset)
        case "false", "False": return try make(.literal(.boolean(false)), at: offset)
        case "none", "None": return try make(.literal(.null), at: offset)
        case "cycler", "joiner", "lipsum":
            if isSymbol(.openParenthesis) { throw Fault(.unsupported, "the function '\(name)' is not supported", at: offset) }
        default: break
        }
        noteUse(of: name)
        return try make(.name(name), at: offset)
    }

    private mutating func parseList() throws(Fault) -> Expression {
        let offset = advance().offset
        var elements: [Expression] = []
        while !isSymbol(.closeBracket) {
            if !elements.isEmpty { try expect(.comma) }
            if isSymbol(.closeBracket) { break }
            elements.append(try parseExpression())
        }
        advance()
        return try make(.list(elements), at: offset, over: elements)
    }

    private mutating func parseDictionary() throws(Fault) -> Expression {
        let offset = advance().offset
        var members: [(key: Expression, value: Expression)] = []
        while !isSymbol(.closeBrace) {
            if !members.isEmpty { try expect(.comma) }
            if isSymbol(.closeBrace) { break }
            let key = try parseExpression()
            try expect(.colon)
            members.append((key, try parseExpression()))
        }
        advance()
        return try make(.dictionary(members), at: offset, over: members.flatMap { [$0.key, $0.value] })
    }

    // MARK: What follows a primary

    private mutating func parsePostfix(_ primary: Expression) throws(Fault) -> Expression {
        var expression = primary
        while true {
            switch current.kind {
            case .symbol(.dot): expression = try parseAttribute(of: expression)
            case .symbol(.openBracket): expression = try parseSubscript(of: expression)
            case .symbol(.openParenthesis): expression = try parseCall(of: expression)
            default: return expression
            }
        }
    }

    private mutating func parseAttribute(of base: Expression) throws(Fault) -> Expression {
        let offset = advance().offset
        let token = advance()
        switch token.kind {
        case .name(let name): return try make(.attribute(base, name), at: offset, over: [base])
        case .integer(let index):
            let index = try make(.literal(.integer(index)), at: token.offset)
            return try make(.item(base, index), at: offset, over: [base, index])
        default: throw Fault(.syntax, "expected a name or number, found \(token.shown)", at: token.offset)
        }
    }

    private mutating func parseSubscript(of base: Expression) throws(Fault) -> Expression {
        let offset = advance().offset
        var bounds: [Expression?] = [nil]
        if !isSymbol(.colon) { bounds[0] = try parseExpression() }
        while bounds.count < 3, skip(.colon) {
            let isAbsent = isSymbol(.colon) || isSymbol(.closeBracket)
            bounds.append(isAbsent ? nil : try parseExpression())
        }
        if isSymbol(.comma) { throw Fault(.unsupported, "subscripts with commas are not supported", at: current.offset) }
        try expect(.closeBracket)
        if bounds.count == 1, let index = bounds[0] { return try make(.item(base, index), at: offset, over: [base, index]) }
        return try make(
            .slice(base, from: bounds[0], to: bounds[1], by: bounds.count > 2 ? bounds[2] : nil), at: offset,
            over: [base] + bounds.compactMap { $0 })
    }

    private mutating func parseCall(of callee: Expression) throws(Fault) -> Expression {
        let offset = current.offset
        let arguments = try parseArguments()
        return try make(.call(callee, arguments), at: offset, over: [callee] + arguments.expressions)
    }

    private mutating func parseArguments() throws(Fault) -> Expression.Arguments {
        let start = current.offset
        try expect(.openParenthesis)
        var arguments = Expression.Arguments()
        var isFirst = true
        while !isSymbol(.closeParenthesis) {
            if !isFirst { try expect(.comma) }
            if isSymbol(.closeParenthesis) { break }
            isFirst = false
            let isOrdered: Bool
            if skip(.multiply) {
                isOrdered = arguments.moreSequence == nil && arguments.moreMapping == nil
                arguments.moreSequence = try parseExpression()
            } else if skip(.power) {
                isOrdered = arguments.moreMapping == nil
                arguments.moreMapping = try parseExpression()
            } else if case .name(let name) = current.kind, following.kind == .symbol(.assign) {
                isOrdered = arguments.moreMapping == nil && !arguments.keywords.contains { $0.name == name }
                advance()
                advance()
                arguments.keywords.append((name, try parseExpression()))
            } else {
                isOrdered = arguments.moreSequence == nil && arguments.moreMapping == nil && arguments.keywords.isEmpty
                arguments.positional.append(try parseExpression())
            }
            guard isOrdered else { throw Fault(.syntax, "arguments of a call in a wrong order", at: start) }
        }
        advance()
        return arguments
    }

    // MARK: Filters and tests

    mutating func parseFilters(over value: Expression) throws(Fault) -> Expression {
        var expression = value
        while skip(.pipe) { expression = try parseFilter(over: expression) }
        return expression
    }

    mutating func parseFilter(over value: Expression) throws(Fault) -> Expression {
        let offset = current.offset
        let name = try parseDottedName()
        guard let filter = Filter(named: name) else { throw Fault(.unsupported, "the filter '\(name)' is not supported", at: offset) }
        let arguments = isSymbol(.openParenthesis) ? try parseArguments() : Expression.Arguments()
        return try make(.filter(value, filter, arguments), at: offset, over: [value] + arguments.expressions)
    }

    private mutating func parseTest(of value: Expression) throws(Fault) -> Expression {
        let start = advance().offset
        let isNegated = skip("not")
        let offset = current.offset
        let name = try parseDottedName()
        guard let test = Test(named: name) else { throw Fault(.unsupported, "the test '\(name)' is not supported", at: offset) }
        var arguments = Expression.Arguments()
        if isSymbol(.openParenthesis) {
            arguments = try parseArguments()
        } else if beginsTestOperand() {
            if isName("is") { throw Fault(.syntax, "tests cannot be chained with 'is'", at: current.offset) }
            arguments.positional = [try parsePostfix(parsePrimary())]
        }
        let expression = try make(.test(value, test, arguments), at: start, over: [value] + arguments.expressions)
        return isNegated ? try make(.not(expression), at: start, over: [expression]) : expression
    }

    private func beginsTestOperand() -> Bool {
        switch current.kind {
        case .name(let name): !["else", "or", "and"].contains(name)
        case .string, .integer, .float, .symbol(.openBracket), .symbol(.openBrace): true
        default: false
        }
    }

    private mutating func parseDottedName() throws(Fault) -> String {
        var name = try expectName()
        while skip(.dot) { name += "." + (try expectName()) }
        return name
    }
}
