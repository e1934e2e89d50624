/// Python's `repr` of a double: the shortest digits that read back as the same number.
enum PythonFloat {
    /// - Parameters:
    ///   - infinity: how an infinite number is written.
    ///   - nan: how what is no number is written.
    static func text(_ value: Double, infinity: String = "inf", nan: String = "nan") -> String {
        guard !value.isNaN else { return nan }
        guard value.isFinite else { return value < 0 ? "-" + infinity : infinity }
        let (digits, point) = shortestDigits(value.magnitude)
        let sign = value.sign == .minus ? "-" : ""
        if point > 16 || point < -3 {
            let exponent = point - 1
            let fraction = digits.count > 1 ? "." + digits.dropFirst() : ""
            let padded = exponent.magnitude < 10 ? "0\(exponent.magnitude)" : "\(exponent.magnitude)"
            return "\(sign)\(digits.prefix(1))\(fraction)e\(exponent < 0 ? "-" : "+")\(padded)"
        }
        if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + digits }
        if digits.count <= point { return sign + digits + String(repeating: "0", count: point - digits.count) + ".0" }
        return sign + digits.prefix(point) + "." + digits.dropFirst(point)
    }

    /// Digits without leading and trailing zeros, and where the point stands: 0.`digits` times ten to the power of `point`.
    private static func shortestDigits(_ value: Double) -> (digits: String, point: Int) {
        guard value != 0 else { return ("0", 1) }
        // Swift prints the same digits in another layout.
        let parts = value.description.lowercased().split(separator: "e")
        let exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let whole = mantissa[0], fraction = mantissa.count > 1 ? mantissa[1] : ""
        let all = whole + fraction
        let leading = all.prefix { $0 == "0" }.count
        var digits = String(all.dropFirst(leading))
        while digits.last == "0" { digits.removeLast() }
        return (digits, whole.count + exponent - leading)
    }
}
