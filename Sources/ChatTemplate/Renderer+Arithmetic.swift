import Foundation

extension Renderer {
    func compute(_ operation: Expression.Arithmetic, _ left: Value, _ right: Value) throws(Fault) -> Value {
        if operation == .modulo, case .string(let format) = left {
            var formatter = PercentFormatter(format, right, allowance)
            return .string(try formatter.formatted())
        }
        for operand in [left, right] { if case .undefined(let undefined) = operand { throw .failed(undefined.message) } }
        switch (operation, left, right) {
        case (.add, .string(let first), .string(let second)):
            try allowance.make(bytes: first.bytes.count + second.bytes.count)
            return .string(Text(bytes: first.bytes + second.bytes))
        case (.add, .string, _): throw .failed("can only concatenate str (not \"\(right.typeName)\") to str")
        case (.add, .list(let first), .list(let second)): return try .list(of: first.items + second.items, allowance)
        case (.add, .tuple(let first), .tuple(let second)): return try .tuple(of: first.items + second.items, allowance)
        case (.multiply, _, _):
            if let count = right.asInteger, let repeated = try repeating(left, count) { return repeated }
            if let count = left.asInteger, let repeated = try repeating(right, count) { return repeated }
        default: break
        }
        if let first = left.asInteger, let second = right.asInteger { return try compute(operation, first, second) }
        if case .wideInteger = left { throw Self.tooLarge }
        if case .wideInteger = right { throw Self.tooLarge }
        if let first = left.asDouble, let second = right.asDouble { return .float(try compute(operation, first, second)) }
        throw .failed("unsupported operand type(s) for \(operation.rawValue): '\(left.typeName)' and '\(right.typeName)'")
    }

    static let tooLarge = Fault(.limit, "an integer of more than 64 bits")

    private func repeating(_ value: Value, _ count: Int) throws(Fault) -> Value? {
        func size(_ one: Int) throws(Fault) -> Int {
            let (size, overflow) = one.multipliedReportingOverflow(by: max(count, 0))
            try allowance.make(bytes: overflow ? .max : size)
            return size
        }
        switch value {
        case .string(let text):
            var bytes: [UInt8] = []
            bytes.reserveCapacity(try size(text.bytes.count))
            if !text.isEmpty { for _ in 0..<max(count, 0) { bytes += text.bytes } }
            return .string(Text(bytes: bytes))
        case .list(let list), .tuple(let list):
            _ = try size(list.items.count * 16)
            let items = list.items.isEmpty ? [] : Array(repeatElement(list.items, count: max(count, 0)).joined())
            if case .list = value { return try .list(of: items, allowance) }
            return try .tuple(of: items, allowance)
        default: return nil
        }
    }

    private func compute(_ operation: Expression.Arithmetic, _ left: Int, _ right: Int) throws(Fault) -> Value {
        func checked(_ result: (partialValue: Int, overflow: Bool)) throws(Fault) -> Value {
            guard !result.overflow else { throw Self.tooLarge }
            return .integer(result.partialValue)
        }
        switch operation {
        case .add: return try checked(left.addingReportingOverflow(right))
        case .subtract: return try checked(left.subtractingReportingOverflow(right))
        case .multiply: return try checked(left.multipliedReportingOverflow(by: right))
        case .divide:
            guard right != 0 else { throw .failed("division by zero") }
            return .float(Double(left) / Double(right))
        case .floorDivide, .modulo:
            guard right != 0 else { throw .failed("division by zero") }
            let (quotient, overflow) = left.dividedReportingOverflow(by: right)
            guard !overflow else { throw Self.tooLarge }
            let remainder = left - quotient * right
            let isRoundedUp = remainder != 0 && (remainder < 0) != (right < 0)
            if operation == .modulo { return .integer(isRoundedUp ? remainder + right : remainder) }
            return .integer(isRoundedUp ? quotient - 1 : quotient)
        case .power:
            guard right >= 0 else {
                guard left != 0 else { throw .failed("zero to a negative power") }
                return .float(pow(Double(left), Double(right)))
            }
            return .integer(try power(left, right))
        }
    }

    private func power(_ base: Int, _ exponent: Int) throws(Fault) -> Int {
        if base == 0 || base == 1 { return exponent == 0 ? 1 : base }
        if base == -1 { return exponent % 2 == 0 ? 1 : -1 }
        // Any other base overflows within 64 factors.
        guard exponent < 64 else { throw Self.tooLarge }
        var result = 1
        for _ in 0..<exponent {
            let (product, overflow) = result.multipliedReportingOverflow(by: base)
            guard !overflow else { throw Self.tooLarge }
            result = product
        }
        return result
    }

    private func compute(_ operation: Expression.Arithmetic, _ left: Double, _ right: Double) throws(Fault) -> Double {
        switch operation {
        case .add: return left + right
        case .subtract: return left - right
        case .multiply: return left * right
        case .divide:
            guard right != 0 else { throw .failed("division by zero") }
            return left / right
        case .floorDivide, .modulo:
            guard right != 0 else { throw .failed("division by zero") }
            var remainder = left.truncatingRemainder(dividingBy: right)
            if remainder == 0 {
                remainder = Double(signOf: right, magnitudeOf: 0)
            } else if (remainder < 0) != (right < 0) {
                remainder += right
            }
            if operation == .modulo { return remainder }
            let quotient = (left - remainder) / right
            guard quotient != 0 else { return Double(signOf: left / right, magnitudeOf: 0) }
            let floor = quotient.rounded(.down)
            return quotient - floor > 0.5 ? floor + 1 : floor
        case .power:
            guard left != 0 || right >= 0 else { throw .failed("zero to a negative power") }
            guard left >= 0 || right == right.rounded() else { throw Fault(.unsupported, "complex numbers are not supported") }
            let result = pow(left, right)
            guard result.isFinite || !left.isFinite || !right.isFinite else { throw .failed("the result of a power is too large") }
            return result
        }
    }

    func negate(_ value: Value) throws(Fault) -> Value {
        switch value {
        case .undefined(let undefined): throw .failed(undefined.message)
        case .float(let number): return .float(-number)
        case .boolean, .integer: return try compute(.subtract, .integer(0), value)
        case .wideInteger: throw Self.tooLarge
        default: throw .failed("bad operand type for unary -: '\(value.typeName)'")
        }
    }

    func keepSign(_ value: Value) throws(Fault) -> Value {
        switch value {
        case .undefined(let undefined): throw .failed(undefined.message)
        case .float, .integer, .wideInteger: return value
        case .boolean(let flag): return .integer(flag ? 1 : 0)
        default: throw .failed("bad operand type for unary +: '\(value.typeName)'")
        }
    }
}
