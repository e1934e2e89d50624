import Foundation

extension Renderer {
    func applyNumberFilter(_ filter: Filter, to value: Value, _ arguments: CallArguments) throws(Fault) -> Value {
        switch filter {
        case .abs:
            _ = try arguments.bound("abs", [])
            return try magnitude(of: value)
        case .float:
            let fallback = try arguments.bound("float", ["default"])[0] ?? .float(0)
            return try float(from: value).map { .float($0) } ?? fallback
        case .int: return try integer(from: value, arguments)
        case .round: return try round(value, arguments)
        default:
            let values = try arguments.bound("sum", ["attribute", "start"])
            var sum = values[1] ?? .integer(0)
            if case .string = sum { throw .failed("sum() can't sum strings [use ''.join(seq) instead]") }
            let getter = AttributePath(values[0])
            let elements = try value.elements(allowance)
            while let element = try elements.next() { sum = try compute(.add, sum, try getter.value(of: element, in: self)) }
            return sum
        }
    }

    private func magnitude(of value: Value) throws(Fault) -> Value {
        switch value {
        case .undefined(let undefined): throw .failed(undefined.message)
        case .float(let number): return .float(number.magnitude)
        case .boolean, .integer:
            let number = value.asInteger ?? 0
            return number < 0 ? try negate(value) : .integer(number)
        case .wideInteger(let digits): return .wideInteger(digits.hasPrefix(Text("-")) ? Text(bytes: digits.bytes.dropFirst()) : digits)
        default: throw .failed("bad operand type for abs(): '\(value.typeName)'")
        }
    }

    /// Python's `float`, or `nil` where that refuses the value.
    private func float(from value: Value) throws(Fault) -> Double? {
        switch value {
        case .undefined(let undefined): throw .failed(undefined.message)
        case .string(let text):
            let trimmed = try strip(text, nil)
            return trimmed.bytes.count <= 1 << 12 ? NumberText.float(trimmed.string) : nil
        default: return value.asDouble
        }
    }

    private func integer(from value: Value, _ arguments: CallArguments) throws(Fault) -> Value {
        let values = try arguments.bound("int", ["default", "base"])
        let fallback = values[0] ?? .integer(0)
        let base = try values[1]?.requireInteger("the base") ?? 10
        guard base == 0 || (2...36).contains(base) else { return fallback }
        switch value {
        case .undefined(let undefined): throw .failed(undefined.message)
        case .integer, .wideInteger: return value
        case .boolean(let flag): return .integer(flag ? 1 : 0)
        case .string(let text):
            let trimmed = try strip(text, nil)
            guard trimmed.bytes.count <= 1 << 12 else { return fallback }
            switch NumberText.integer(trimmed.string, base: base) {
            case .value(let number): return .integer(number)
            case .tooLarge: throw Self.tooLarge
            case nil: break
            }
        default: break
        }
        guard let number = try float(from: value) else { return fallback }
        if case .float = value, number.isInfinite { throw .failed("cannot convert float infinity to integer") }
        guard number.isFinite else { return fallback }
        guard let whole = Int(exactly: number.rounded(.towardZero)) else { throw Self.tooLarge }
        return .integer(whole)
    }

    private func round(_ value: Value, _ arguments: CallArguments) throws(Fault) -> Value {
        let values = try arguments.bound("round", ["precision", "method"])
        let precision = try values[0]?.requireInteger("the precision") ?? 0
        let method = try values[1]?.requireText("the method").string ?? "common"
        guard ["common", "ceil", "floor"].contains(method) else { throw .failed("method must be common, ceil or floor") }
        if case .undefined(let undefined) = value { throw .failed(undefined.message) }
        guard (0...100).contains(precision) else { throw Fault(.unsupported, "a precision of \(precision) is not supported") }
        if method == "common" {
            if let whole = value.asInteger { return .integer(whole) }
            guard case .float(let number) = value else { throw .failed("type \(value.typeName) doesn't define __round__ method") }
            guard number.isFinite else { return value }
            return .float(precision == 0 ? number.rounded(.toNearestOrEven) : Double(String(format: "%.\(precision)f", number)) ?? number)
        }
        guard let number = value.asDouble else { throw .failed("must be real number, not \(value.typeName)") }
        let scale = pow(10, Double(precision)), scaled = number * scale
        guard scaled.isFinite else { throw .failed("cannot convert \(PythonFloat.text(scaled)) to integer") }
        return .float(scaled.rounded(method == "ceil" ? .up : .down) / scale)
    }
}

/// Numbers as Python reads them from texts, without white space around them.
enum NumberText {
    enum Parsed { case value(Int), tooLarge }

    static func float(_ text: String) -> Double? {
        let unsigned = text.hasPrefix("-") || text.hasPrefix("+") ? text.dropFirst() : text[...]
        switch unsigned.lowercased() {
        case "inf", "infinity": return text.hasPrefix("-") ? -.infinity : .infinity
        case "nan": return .nan
        default: break
        }
        guard let plain = withoutSeparators(text), plain.utf8.allSatisfy({ "0123456789.eE+-".utf8.contains($0) }) else { return nil }
        // Swift wants digits on both sides of the point.
        var padded = plain
        if let point = padded.firstIndex(of: ".") {
            let isAfterDigit = point > padded.startIndex && padded[padded.index(before: point)].isNumber
            let next = padded.index(after: point)
            let isBeforeDigit = next < padded.endIndex && padded[next].isNumber
            guard isAfterDigit || isBeforeDigit else { return nil }
            if !isBeforeDigit { padded.insert("0", at: next) }
            if !isAfterDigit { padded.insert("0", at: point) }
        }
        return Double(padded)
    }

    static func integer(_ text: String, base: Int) -> Parsed? {
        let isNegative = text.hasPrefix("-")
        var digits = isNegative || text.hasPrefix("+") ? text.dropFirst() : text[...]
        var base = base
        let prefix = digits.prefix(2).lowercased()
        if let implied = ["0x": 16, "0o": 8, "0b": 2][prefix], base == 0 || base == implied {
            base = implied
            digits = digits.dropFirst(2)
            if digits.hasPrefix("_") { digits = digits.dropFirst() }
        } else if base == 0 {
            base = 10
            if digits.hasPrefix("0"), digits.contains(where: { $0 != "0" && $0 != "_" }) { return nil }
        }
        guard let plain = withoutSeparators(String(digits)), !plain.isEmpty,
            plain.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isASCII && (Character(Unicode.Scalar($0)).isLetter || Character(Unicode.Scalar($0)).isNumber) }),
            plain.allSatisfy({ digit in Int(String(digit), radix: 36).map { $0 < base } ?? false })
        else { return nil }
        return Int((isNegative ? "-" : "") + plain, radix: base).map { .value($0) } ?? .tooLarge
    }

    /// Without underscores, each of which must stand between digits.
    private static func withoutSeparators(_ text: String) -> String? {
        guard text.contains("_") else { return text }
        guard !text.hasPrefix("_"), !text.hasSuffix("_"), !text.contains("__"), !text.contains("_."), !text.contains("._"),
            !text.lowercased().contains("_e"), !text.lowercased().contains("e_") || !text.contains(".")
        else { return nil }
        return text.filter { $0 != "_" }
    }
}
