extension Renderer {
    func evaluate(_ expression: Expression) throws(Fault) -> Value {
        try allowance.step()
        switch expression.kind {
        case .literal(let literal): return Value(literal)
        case .name(let name): return scope.value(of: name) ?? .undefined(.variable(name))
        case .captured: return captured.last.map { .string($0) } ?? .undefined(.because("there is no text to filter"))
        default: return try nested(at: expression.offset) { () throws(Fault) in try evaluateNested(expression) }
        }
    }

    private func evaluateAll(_ expressions: [Expression]) throws(Fault) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(expressions.count)
        for expression in expressions { values.append(try evaluate(expression)) }
        return values
    }

    private func evaluateNested(_ expression: Expression) throws(Fault) -> Value {
        switch expression.kind {
        case .attribute(let base, let name):
            let value = try evaluate(base)
            note(expression.offset)
            return try attribute(name, of: value)
        case .item(let base, let index):
            let value = try evaluate(base), key = try evaluate(index)
            note(expression.offset)
            return try item(key, of: value)
        case .slice(let base, let from, let to, let by):
            let value = try evaluate(base)
            var bounds: [Value] = []
            for bound in [from, to, by] { bounds.append(try bound.map { bound throws(Fault) in try evaluate(bound) } ?? .null) }
            note(expression.offset)
            return try slice(value, bounds)
        case .call: return try evaluateCall(expression)
        case .filter(let base, let filter, let arguments):
            let value = try evaluate(base), arguments = try evaluate(arguments)
            note(expression.offset)
            return try apply(filter, to: value, arguments)
        case .test(let base, let test, let arguments):
            let value = try evaluate(base), arguments = try evaluate(arguments)
            note(expression.offset)
            return .boolean(try passes(test, value, arguments))
        case .comparison(let first, let operands): return try compare(first, operands)
        case .all(let operands):
            for operand in operands.dropLast() {
                let value = try evaluate(operand)
                if !value.isTrue { return value }
            }
            return try evaluate(operands[operands.count - 1])
        case .any(let operands):
            for operand in operands.dropLast() {
                let value = try evaluate(operand)
                if value.isTrue { return value }
            }
            return try evaluate(operands[operands.count - 1])
        case .not(let operand): return .boolean(!(try evaluate(operand).isTrue))
        case .conditional(let condition, let then, let otherwise):
            if try evaluate(condition).isTrue { return try evaluate(then) }
            if let otherwise { return try evaluate(otherwise) }
            return .undefined(.because("the inline if-expression evaluated to false and no else section was defined"))
        case .concatenation(let operands): return try concatenate(operands, at: expression.offset)
        case .arithmetic(let operation, let left, let right):
            let left = try evaluate(left), right = try evaluate(right)
            note(expression.offset)
            return try compute(operation, left, right)
        case .negative(let operand):
            let value = try evaluate(operand)
            note(expression.offset)
            return try negate(value)
        case .positive(let operand):
            let value = try evaluate(operand)
            note(expression.offset)
            return try keepSign(value)
        default: return try makeContainer(expression)
        }
    }

    private func makeContainer(_ expression: Expression) throws(Fault) -> Value {
        switch expression.kind {
        case .list(let elements):
            let items = try evaluateAll(elements)
            note(expression.offset)
            return try .list(of: items, allowance)
        case .tuple(let elements):
            let items = try evaluateAll(elements)
            note(expression.offset)
            return try .tuple(of: items, allowance)
        case .dictionary(let members):
            var builder = DictionaryBuilder(allowance)
            for (key, value) in members {
                let key = try evaluate(key), value = try evaluate(value)
                note(expression.offset)
                try builder.set(key, value)
            }
            return .dictionary(try builder.build())
        default: return .null
        }
    }

    private func concatenate(_ operands: [Expression], at offset: Int) throws(Fault) -> Value {
        var printer = ValuePrinter(allowance)
        for operand in operands {
            let value = try evaluate(operand)
            note(offset)
            try printer.print(value)
        }
        return .string(Text(bytes: printer.bytes))
    }

    /// `a < b < c` compares neighbours, and evaluates each operand once.
    private func compare(
        _ first: Expression, _ operands: [(operation: Expression.Comparison, operand: Expression)]
    ) throws(Fault) -> Value {
        var left = try evaluate(first)
        for (operation, operand) in operands {
            let right = try evaluate(operand)
            note(operand.offset)
            guard try holds(operation, left, right) else { return .boolean(false) }
            left = right
        }
        return .boolean(true)
    }

    func holds(_ operation: Expression.Comparison, _ left: Value, _ right: Value) throws(Fault) -> Bool {
        switch operation {
        case .equal: try left.isEqual(to: right, allowance)
        case .notEqual: !(try left.isEqual(to: right, allowance))
        case .less: try left.isLess(than: right, "<", allowance)
        case .greater: try right.isLess(than: left, ">", allowance)
        case .lessOrEqual: try isAtMost(left, right, "<=")
        case .greaterOrEqual: try isAtMost(right, left, ">=")
        case .within: try right.contains(left, allowance)
        case .notWithin: !(try right.contains(left, allowance))
        }
    }

    private func isAtMost(_ left: Value, _ right: Value, _ operation: String) throws(Fault) -> Bool {
        if try left.isLess(than: right, operation, allowance) { return true }
        return try left.isEqual(to: right, allowance)
    }

    // MARK: Calls

    func evaluate(_ arguments: Expression.Arguments) throws(Fault) -> CallArguments {
        var result = CallArguments(positional: try evaluateAll(arguments.positional))
        for (name, expression) in arguments.keywords { result.keywords.append((name, try evaluate(expression))) }
        if let more = arguments.moreSequence { result.positional += try evaluate(more).array(allowance) }
        if let more = arguments.moreMapping {
            guard case .dictionary(let dictionary) = try evaluate(more) else { throw .failed("argument after ** must be a mapping") }
            for (key, value) in zip(dictionary.keys, dictionary.values) {
                result.keywords.append((try key.requireText("a keyword").string, value))
            }
        }
        return result
    }

    func evaluateCall(_ expression: Expression, caller: Value? = nil) throws(Fault) -> Value {
        guard case .call(let callee, let arguments) = expression.kind else { return .null }
        let function = try evaluate(callee)
        var values = try evaluate(arguments)
        if let caller { values.keywords.append(("caller", caller)) }
        note(expression.offset)
        switch function {
        case .macro(let macro): return .string(try call(macro, values))
        case .method(let method): return try call(method, values)
        case .function(let function): return try call(function, values)
        case .undefined(let undefined): throw .failed(undefined.message)
        default: throw .failed("'\(function.typeName)' object is not callable")
        }
    }

    func call(_ macro: MacroValue, _ arguments: CallArguments) throws(Fault) -> Text {
        let definition = macro.definition
        let inner = Scope(in: macro.scope)
        var keywords = arguments.keywords
        func take(_ name: String) -> Value? {
            keywords.firstIndex { $0.name == name }.map { keywords.remove(at: $0).value }
        }
        var missing: [(name: String, fallback: Expression?)] = []
        for (index, parameter) in definition.parameters.enumerated() {
            if index < arguments.positional.count {
                inner.values[parameter.name] = arguments.positional[index]
            } else if let value = take(parameter.name) {
                inner.values[parameter.name] = value
            } else {
                missing.append(parameter)
            }
        }
        if definition.takesCaller { inner.values["caller"] = take("caller") ?? .undefined(.because("No caller defined")) }
        if definition.takesKeywords {
            var builder = DictionaryBuilder(allowance)
            for (name, value) in keywords { try builder.set(.text(name), value) }
            inner.values["kwargs"] = .dictionary(try builder.build())
        } else if let stranger = keywords.first {
            throw .failed("macro '\(definition.name)' takes no keyword argument '\(stranger.name)'")
        }
        let more = Array(arguments.positional.dropFirst(definition.parameters.count))
        if definition.takesMore {
            inner.values["varargs"] = try .tuple(of: more, allowance)
        } else if !more.isEmpty {
            throw .failed("macro '\(definition.name)' takes not more than \(definition.parameters.count) argument(s)")
        }
        return try nested(at: position) { () throws(Fault) in
            try inScope(inner) { () throws(Fault) in
                for (name, fallback) in missing {
                    inner.values[name] = try fallback.map { fallback throws(Fault) in try evaluate(fallback) }
                        ?? .undefined(.because("parameter '\(name)' was not provided"))
                }
                return try capture { () throws(Fault) in try execute(definition.body) }.0
            }
        }
    }
}

extension Value {
    init(_ literal: Expression.Literal) {
        self =
            switch literal {
            case .null: .null
            case .boolean(let value): .boolean(value)
            case .integer(let value): .integer(value)
            case .float(let value): .float(value)
            case .text(let text): .string(text)
            }
    }
}
