/// A number as a schema writes it, exactly.
struct Decimal: Sendable, Hashable {
    var isNegative: Bool
    /// Digits before the point, without leading zeros: none for a number below one.
    var whole: [UInt8]
    /// Digits behind it, without trailing zeros.
    var fraction: [UInt8]

    /// Digits in all that a bound may have.
    static let greatestDigitCount = 100

    static let zero = Decimal(isNegative: false, whole: [], fraction: [])

    var isZero: Bool { whole.isEmpty && fraction.isEmpty }
    var isInteger: Bool { fraction.isEmpty }
    var negated: Decimal { Decimal(isNegative: !isNegative && !isZero, whole: whole, fraction: fraction) }

    private init(isNegative: Bool, whole: [UInt8], fraction: [UInt8]) {
        self.isNegative = isNegative
        self.whole = whole
        self.fraction = fraction
    }

    /// - Parameter text: a JSON number. `nil` if it has too many digits once its exponent is resolved.
    init?(_ text: [UInt8]) {
        var rest = text[...]
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative { rest = rest.dropFirst() }
        let parts = rest.split(whereSeparator: { $0 == UInt8(ascii: "e") || $0 == UInt8(ascii: "E") })
        guard let mantissa = parts.first, parts.count <= 2 else { return nil }
        var exponent = 0
        if parts.count == 2 {
            guard let value = Int(String(decoding: parts[1], as: UTF8.self)), abs(value) <= Self.greatestDigitCount else { return nil }
            exponent = value
        }
        let halves = mantissa.split(separator: UInt8(ascii: "."))
        var digits = halves.joined().map { $0 - UInt8(ascii: "0") }
        var point = (halves.first?.count ?? 0) + exponent
        if point < 0 {
            digits = [UInt8](repeating: 0, count: -point) + digits
            point = 0
        }
        if point > digits.count { digits += [UInt8](repeating: 0, count: point - digits.count) }
        guard digits.count <= 4 * Self.greatestDigitCount else { return nil }
        whole = Array(digits[..<point].drop { $0 == 0 })
        fraction = Array(digits[point...])
        while fraction.last == 0 { fraction.removeLast() }
        guard whole.count + fraction.count <= Self.greatestDigitCount else { return nil }
        self.isNegative = isNegative && !(whole.isEmpty && fraction.isEmpty)
    }

    init(_ integer: Int64) {
        isNegative = integer < 0
        whole = integer == 0 ? [] : String(integer.magnitude).utf8.map { $0 - UInt8(ascii: "0") }
        fraction = []
    }

    /// 2^bits - 1.
    static func allOnes(bits: Int) -> Decimal {
        var value = zero
        value.whole = String(UInt64.max >> UInt64(64 - bits)).utf8.map { $0 - UInt8(ascii: "0") }
        return value
    }

    static func < (a: Decimal, b: Decimal) -> Bool {
        if a.isNegative != b.isNegative { return a.isNegative }
        return a.isNegative ? isSmaller(b, a) : isSmaller(a, b)
    }

    /// By magnitude.
    private static func isSmaller(_ a: Decimal, _ b: Decimal) -> Bool {
        if a.whole.count != b.whole.count { return a.whole.count < b.whole.count }
        return (a.whole + a.fraction).lexicographicallyPrecedes(b.whole + b.fraction)
    }
}
