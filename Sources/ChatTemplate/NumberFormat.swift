import Foundation

/// One field of a format: how a value is written, and how it is padded. Both of Python's format languages come down to it.
struct NumberFormat {
    var fill: Unicode.Scalar = " "
    /// `<`, `>`, `^`, or `=` for padding between sign and digits.
    var alignment: Unicode.Scalar?
    /// `+` or a space, before numbers that have no minus.
    var sign: Unicode.Scalar?
    var isAlternate = false
    /// Whether numbers are padded between sign and digits unless the alignment says otherwise.
    var padsInside = false
    var width = 0
    var separator: Unicode.Scalar?
    var precision: Int?
    var type: Unicode.Scalar?

    /// No format of a template needs more.
    static let greatestWidth = 10_000

    func padded(_ text: Text, isNumber: Bool, _ allowance: Allowance) throws(Fault) -> Text {
        let missing = width - text.count
        guard missing > 0 else { return text }
        try allowance.make(bytes: 4 * width + text.bytes.count)
        func padding(_ count: Int) -> [UInt8] { Text(Array(repeating: fill, count: count)).bytes }
        switch alignment ?? (isNumber ? padsInside ? "=" : ">" : "<") {
        case "<": return Text(bytes: text.bytes + padding(missing))
        case "^": return Text(bytes: padding(missing / 2) + text.bytes + padding(missing - missing / 2))
        case "=":
            let signCount = text.bytes.first.map { "+- ".utf8.contains($0) } == true ? 1 : 0
            let prefixCount = isAlternate && type.map { "xXob".unicodeScalars.contains($0) } == true ? 2 : 0
            let head = text.bytes.prefix(signCount + prefixCount)
            return Text(bytes: head + padding(missing) + text.bytes.dropFirst(head.count))
        default: return Text(bytes: padding(missing) + text.bytes)
        }
    }

    private func signed(_ digits: String, isNegative: Bool) -> String {
        isNegative ? "-" + digits : sign.map { String(Character($0)) + digits } ?? digits
    }

    func integer(_ value: Int) -> String {
        let radix = ["x": 16, "X": 16, "o": 8, "b": 2][type ?? "d"] ?? 10
        var digits = String(value.magnitude, radix: radix, uppercase: type == "X")
        if let precision, digits.count < precision { digits = String(repeating: "0", count: precision - digits.count) + digits }
        if let separator { digits = Self.grouped(digits, separator, by: radix == 10 ? 3 : 4) }
        if isAlternate, radix != 10, let type { digits = "0\(type)" + digits }
        return signed(digits, isNegative: value < 0)
    }

    func float(_ value: Double) -> String {
        let kind = type ?? "g"
        let isUpper = ["F", "E", "G"].contains(kind)
        let magnitude = value.magnitude
        var digits: String
        if !value.isFinite {
            digits = value.isNaN ? "nan" : "inf"
        } else if kind == "%" {
            digits = String(format: "%.\(precision ?? 6)f", magnitude * 100) + "%"
        } else if type == nil {
            digits = precision.map { String(format: "%.\($0)g", magnitude) } ?? PythonFloat.text(magnitude)
        } else {
            digits = String(format: "%\(isAlternate ? "#" : "").\(precision ?? 6)\(Character(kind).lowercased())", magnitude)
        }
        if let separator {
            let whole = digits.prefix { $0.isNumber }
            digits = Self.grouped(String(whole), separator, by: 3) + digits.dropFirst(whole.count)
        }
        return signed(isUpper ? digits.uppercased() : digits, isNegative: value.sign == .minus && !value.isNaN)
    }

    private static func grouped(_ digits: String, _ separator: Unicode.Scalar, by size: Int) -> String {
        var result = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % size == 0 { result.unicodeScalars.append(separator) }
            result.append(digit)
        }
        return result
    }
}
