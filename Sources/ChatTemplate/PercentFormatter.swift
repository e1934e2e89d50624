/// `format % operand`, as for C's `printf`.
struct PercentFormatter {
    private let format: [Unicode.Scalar]
    private let operand: Value
    private let allowance: Allowance
    private var index = 0
    private var taken = 0
    private var output: ValuePrinter

    init(_ format: Text, _ operand: Value, _ allowance: Allowance) {
        self.format = Array(format.scalars)
        self.operand = operand
        self.allowance = allowance
        output = ValuePrinter(allowance)
    }

    private var operands: [Value] {
        if case .tuple(let list) = operand { return list.items }
        return [operand]
    }

    mutating func formatted() throws(Fault) -> Text {
        var usesNames = false
        while index < format.count {
            try allowance.step()
            let start = index
            while index < format.count, format[index] != "%" { index += 1 }
            try output.write(Text(format[start..<index]))
            if index < format.count {
                index += 1
                if try writeField() { usesNames = true }
            }
        }
        var isLeft = taken < operands.count && !usesNames
        // Whatever has items could have served fields by name.
        switch operand {
        case .dictionary, .list, .range, .undefined: isLeft = false
        default: break
        }
        guard !isLeft else { throw .failed("not all arguments converted during string formatting") }
        return Text(bytes: output.bytes)
    }

    private func peek() throws(Fault) -> Unicode.Scalar {
        guard index < format.count else { throw .failed("incomplete format") }
        return format[index]
    }

    private mutating func take() throws(Fault) -> Value {
        guard taken < operands.count else { throw .failed("not enough arguments for format string") }
        taken += 1
        return operands[taken - 1]
    }

    private mutating func number() throws(Fault) -> Int? {
        var value: Int?
        while index < format.count, let digit = Int(String(Character(format[index]))), format[index].isASCII {
            value = (value ?? 0) * 10 + digit
            index += 1
            guard value ?? 0 <= NumberFormat.greatestWidth else { throw Fault(.limit, "a width of more than \(NumberFormat.greatestWidth)") }
        }
        return value
    }

    /// - Returns: whether the field has a name.
    private mutating func writeField() throws(Fault) -> Bool {
        var field = NumberFormat()
        var named: Value?
        if try peek() == "(" {
            guard let close = format[index...].firstIndex(of: ")") else { throw .failed("incomplete format key") }
            let name = Text(format[(index + 1)..<close])
            guard case .dictionary(let dictionary) = operand else { throw .failed("format requires a mapping") }
            guard let value = dictionary.value(for: name) else { throw .failed("KeyError: '\(name.string)'") }
            named = value
            index = close + 1
        }
        var padsWithZeros = false
        flags: while true {
            switch try peek() {
            case "-": field.alignment = "<"
            case "+": field.sign = "+"
            case " ": field.sign = field.sign ?? " "
            case "#": field.isAlternate = true
            case "0": padsWithZeros = true
            default: break flags
            }
            index += 1
        }
        if try peek() == "*" { throw Fault(.unsupported, "'*' in a format is not supported") }
        field.width = try number() ?? 0
        if try peek() == "." {
            index += 1
            if try peek() == "*" { throw Fault(.unsupported, "'*' in a format is not supported") }
            field.precision = try number() ?? 0
        }
        let type = try peek()
        index += 1
        if type == "%" {
            try output.write("%")
            return named != nil
        }
        let value: Value
        if let named { value = named } else { value = try take() }
        try write(value, type, field, padsWithZeros: padsWithZeros)
        return named != nil
    }

    private mutating func write(_ value: Value, _ type: Unicode.Scalar, _ given: NumberFormat, padsWithZeros: Bool) throws(Fault) {
        var field = given
        if case .undefined(let undefined) = value, type != "s", type != "r" { throw .failed(undefined.message) }
        switch type {
        case "s", "r":
            var printer = ValuePrinter(allowance)
            if type == "s" { try printer.print(value) } else { try printer.represent(value) }
            var text = Text(bytes: printer.bytes)
            if let precision = field.precision, precision < text.count { text = text.slice(0..<precision) }
            field.alignment = field.alignment ?? ">"
            try output.write(try field.padded(text, isNumber: false, allowance))
        case "c":
            field.alignment = field.alignment ?? ">"
            if case .string(let text) = value, text.count == 1 { return try output.write(try field.padded(text, isNumber: false, allowance)) }
            guard let code = value.asInteger, let scalar = UInt32(exactly: code).flatMap(Unicode.Scalar.init) else {
                throw .failed("%c requires an integer or a character")
            }
            try output.write(try field.padded(Text([scalar]), isNumber: false, allowance))
        case "d", "i", "u", "x", "X", "o":
            field.type = "xXo".unicodeScalars.contains(type) ? type : nil
            let number: Int
            if case .float(let double) = value, field.type == nil {
                guard let whole = Int(exactly: double.rounded(.towardZero)) else { throw .failed("cannot convert a float to an integer") }
                number = whole
            } else {
                guard let integer = value.asInteger else {
                    throw .failed("%\(type) format: an integer is required, not \(value.typeName)")
                }
                number = integer
            }
            try writeNumber(field.integer(number), field, padsWithZeros: padsWithZeros)
        case "f", "F", "e", "E", "g", "G":
            guard let number = value.asDouble else { throw .failed("must be real number, not \(value.typeName)") }
            field.type = type
            try writeNumber(field.float(number), field, padsWithZeros: padsWithZeros && number.isFinite)
        default: throw .failed("unsupported format character '\(type)'")
        }
    }

    private mutating func writeNumber(_ text: String, _ given: NumberFormat, padsWithZeros: Bool) throws(Fault) {
        var field = given
        if padsWithZeros, field.alignment == nil { (field.fill, field.alignment) = ("0", "=") }
        try output.write(try field.padded(Text(text), isNumber: true, allowance))
    }
}
