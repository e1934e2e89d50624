/// `format.format(…)`: fields in braces, by place or by name, with conversion and format specification.
struct BraceFormatter {
    private let format: [Unicode.Scalar]
    private let arguments: CallArguments
    private let allowance: Allowance
    private var index = 0
    private var next = 0
    private var output: ValuePrinter

    init(_ format: Text, _ arguments: CallArguments, _ allowance: Allowance) {
        self.format = Array(format.scalars)
        self.arguments = arguments
        self.allowance = allowance
        output = ValuePrinter(allowance)
    }

    mutating func formatted() throws(Fault) -> Text {
        while index < format.count {
            try allowance.step()
            let scalar = format[index]
            index += 1
            if scalar == "{" || scalar == "}" {
                if index < format.count, format[index] == scalar {
                    index += 1
                    try output.write(String(Character(scalar)))
                } else if scalar == "{" {
                    try writeField()
                } else {
                    throw .failed("Single '}' encountered in format string")
                }
            } else {
                try output.write(String(Character(scalar)))
            }
        }
        return Text(bytes: output.bytes)
    }

    private mutating func writeField() throws(Fault) {
        guard let close = format[index...].firstIndex(of: "}") else { throw .failed("expected '}' before end of string") }
        let field = format[index..<close]
        index = close + 1
        guard !field.contains("{") else { throw Fault(.unsupported, "fields within fields of a format are not supported") }
        let colon = field.firstIndex(of: ":") ?? field.endIndex
        let bang = field[..<colon].firstIndex(of: "!") ?? colon
        let name = String(String.UnicodeScalarView(field[..<bang]))
        let value = try argument(name)
        var text: Text?
        if bang < colon {
            var printer = ValuePrinter(allowance)
            switch String(String.UnicodeScalarView(field[(bang + 1)..<colon])) {
            case "s": try printer.print(value)
            case "r": try printer.represent(value)
            case let other: throw Fault(.unsupported, "the conversion '!\(other)' is not supported")
            }
            text = Text(bytes: printer.bytes)
        }
        try write(text.map { .string($0) } ?? value, field[colon...].dropFirst())
    }

    private mutating func argument(_ name: String) throws(Fault) -> Value {
        if name.contains(".") || name.contains("[") { throw Fault(.unsupported, "attributes in fields of a format are not supported") }
        if name.isEmpty || name.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) {
            let place = name.isEmpty ? next : Int(name) ?? .max
            if name.isEmpty { next += 1 }
            guard place < arguments.positional.count else {
                throw .failed("Replacement index \(place) out of range for positional args tuple")
            }
            return arguments.positional[place]
        }
        guard let value = arguments.keywords.first(where: { $0.name == name })?.value else { throw .failed("KeyError: '\(name)'") }
        return value
    }

    private mutating func write(_ value: Value, _ specification: ArraySlice<Unicode.Scalar>) throws(Fault) {
        guard !specification.isEmpty else { return try output.print(value) }
        let field = try Self.parse(specification)
        let type = field.type
        switch value {
        case .string(var text):
            guard type == nil || type == "s", field.sign == nil, field.separator == nil, field.alignment != "=" else {
                throw .failed("a format that does not fit a 'str'")
            }
            if let precision = field.precision, precision < text.count { text = text.slice(0..<precision) }
            try output.write(try field.padded(text, isNumber: false, allowance))
        case .integer(let number) where type.map { "bcdoxX".unicodeScalars.contains($0) } ?? true:
            guard field.precision == nil, type != "c" else { throw .failed("a format that does not fit an 'int'") }
            try output.write(try field.padded(Text(field.integer(number)), isNumber: true, allowance))
        case .float, .integer, .boolean:
            guard type.map({ "eEfFgG%".unicodeScalars.contains($0) }) ?? true, let number = value.asDouble else {
                throw .failed("a format that does not fit a '\(value.typeName)'")
            }
            if case .boolean = value, type == nil { throw Fault(.unsupported, "formats of booleans are not supported") }
            try output.write(try field.padded(Text(field.float(number)), isNumber: true, allowance))
        default: throw .failed("unsupported format string passed to \(value.typeName).__format__")
        }
    }

    /// `[[fill]align][sign][#][0][width][,][.precision][type]`
    private static func parse(_ specification: ArraySlice<Unicode.Scalar>) throws(Fault) -> NumberFormat {
        var rest = specification
        var field = NumberFormat()
        let alignments: Set<Unicode.Scalar> = ["<", ">", "^", "="]
        if let fill = rest.first, let alignment = rest.dropFirst().first, alignments.contains(alignment) {
            (field.fill, field.alignment) = (fill, alignment)
            rest = rest.dropFirst(2)
        } else if let alignment = rest.first, alignments.contains(alignment) {
            field.alignment = alignment
            rest = rest.dropFirst()
        }
        if let sign = rest.first, "+- ".unicodeScalars.contains(sign) {
            field.sign = sign == "-" ? nil : sign
            rest = rest.dropFirst()
        }
        if rest.first == "#" {
            field.isAlternate = true
            rest = rest.dropFirst()
        }
        if rest.first == "0" {
            if field.fill == " " { field.fill = "0" }
            field.padsInside = field.alignment == nil
            rest = rest.dropFirst()
        }
        field.width = try number(&rest) ?? 0
        if let separator = rest.first, separator == "," || separator == "_" {
            field.separator = separator
            rest = rest.dropFirst()
        }
        if rest.first == "." {
            rest = rest.dropFirst()
            guard let precision = try number(&rest) else { throw .failed("Format specifier missing precision") }
            field.precision = precision
        }
        if let type = rest.popFirst() { field.type = type }
        guard rest.isEmpty else { throw .failed("Invalid format specifier") }
        return field
    }

    private static func number(_ rest: inout ArraySlice<Unicode.Scalar>) throws(Fault) -> Int? {
        var value: Int?
        while let scalar = rest.first, scalar.isASCII, let digit = Int(String(Character(scalar))) {
            value = (value ?? 0) * 10 + digit
            rest = rest.dropFirst()
            guard value ?? 0 <= NumberFormat.greatestWidth else { throw Fault(.limit, "a width of more than \(NumberFormat.greatestWidth)") }
        }
        return value
    }
}
