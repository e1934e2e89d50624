/// The tests that templates can name behind `is`.
enum Test: String, CaseIterable, Sendable {
    case boolean, callable, defined, divisibleby, even, `false`, filter, float, integer, iterable, lower, mapping, none, number, odd, sameas
    case sequence, string, test, `true`, undefined, upper, `in`
    case equal = "eq", notEqual = "ne", less = "lt", lessOrEqual = "le", greater = "gt", greaterOrEqual = "ge"

    init?(named name: String) {
        switch name {
        case "==", "equalto": self = .equal
        case "!=": self = .notEqual
        case "<", "lessthan": self = .less
        case "<=": self = .lessOrEqual
        case ">", "greaterthan": self = .greater
        case ">=": self = .greaterOrEqual
        default: self.init(rawValue: name)
        }
    }

    fileprivate var hasOperand: Bool {
        switch self {
        case .divisibleby, .sameas, .in, .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual: true
        default: false
        }
    }
}

extension Renderer {
    func passes(_ test: Test, _ value: Value, _ arguments: CallArguments) throws(Fault) -> Bool {
        guard arguments.keywords.isEmpty, arguments.positional.count == (test.hasOperand ? 1 : 0) else {
            throw .failed("the test '\(test.rawValue)' takes \(test.hasOperand ? "one argument" : "no arguments")")
        }
        if let operand = arguments.positional.first { return try passes(test, value, operand) }
        switch test {
        case .defined: return !value.isUndefined
        case .undefined: return value.isUndefined
        case .even, .odd:
            let remainder = try compute(.modulo, value, .integer(2))
            return try remainder.isEqual(to: .integer(test == .odd ? 1 : 0), allowance)
        case .lower: return try value.printed(allowance).isLower
        case .upper: return try value.printed(allowance).isUpper
        case .filter: return Filter(named: try value.requireText("a filter's name").string) != nil
        case .test: return Test(named: try value.requireText("a test's name").string) != nil
        default: return Self.isOfType(test, value)
        }
    }

    private static func isOfType(_ test: Test, _ value: Value) -> Bool {
        switch (test, value) {
        case (.none, .null), (.boolean, .boolean), (.float, .float), (.string, .string), (.mapping, .dictionary): true
        case (.true, .boolean(let flag)): flag
        case (.false, .boolean(let flag)): !flag
        case (.integer, .integer), (.integer, .wideInteger): true
        case (.number, .integer), (.number, .wideInteger), (.number, .float), (.number, .boolean): true
        case (.sequence, .string), (.sequence, .list), (.sequence, .tuple), (.sequence, .dictionary), (.sequence, .range), (.sequence, .undefined):
            true
        case (.iterable, .string), (.iterable, .list), (.iterable, .tuple), (.iterable, .dictionary), (.iterable, .range),
            (.iterable, .undefined), (.iterable, .view), (.iterable, .iterator), (.iterable, .loop): true
        case (.callable, .macro), (.callable, .method), (.callable, .function), (.callable, .undefined), (.callable, .loop): true
        default: false
        }
    }

    private func passes(_ test: Test, _ value: Value, _ operand: Value) throws(Fault) -> Bool {
        switch test {
        case .divisibleby: try compute(.modulo, value, operand).isEqual(to: .integer(0), allowance)
        case .sameas: try isSame(value, operand)
        case .in: try operand.contains(value, allowance)
        case .equal: try holds(.equal, value, operand)
        case .notEqual: try holds(.notEqual, value, operand)
        case .less: try holds(.less, value, operand)
        case .lessOrEqual: try holds(.lessOrEqual, value, operand)
        case .greater: try holds(.greater, value, operand)
        default: try holds(.greaterOrEqual, value, operand)
        }
    }

    /// Identity, for values of which there is one only; others are the same when they are of one type and equal.
    private func isSame(_ value: Value, _ other: Value) throws(Fault) -> Bool {
        guard value.typeName == other.typeName else { return false }
        return try value.isEqual(to: other, allowance)
    }
}
