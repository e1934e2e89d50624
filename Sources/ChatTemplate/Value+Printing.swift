/// Python's `str` and `repr`.
struct ValuePrinter {
    private(set) var bytes: [UInt8] = []
    private let allowance: Allowance

    init(_ allowance: Allowance) { self.allowance = allowance }

    mutating func write(_ string: String) throws(Fault) {
        try allowance.make(bytes: string.utf8.count)
        bytes += Array(string.utf8)
    }

    mutating func write(_ text: Text) throws(Fault) {
        try allowance.make(bytes: text.bytes.count)
        bytes += text.bytes
    }

    /// What `str` gives: `repr`, but for strings and undefined values.
    mutating func print(_ value: Value) throws(Fault) {
        switch value {
        case .undefined: break
        case .string(let text): try write(text)
        default: try represent(value)
        }
    }

    mutating func represent(_ value: Value) throws(Fault) {
        try allowance.step()
        switch value {
        case .undefined: try write("Undefined")
        case .null: try write("None")
        case .boolean(let value): try write(value ? "True" : "False")
        case .integer(let value): try write(String(value))
        case .wideInteger(let digits): try write(digits)
        case .float(let value): try write(PythonFloat.text(value))
        case .string(let text): try represent(text)
        case .list(let list): try representAll(list.items, "[", "]")
        case .tuple(let list): try representAll(list.items, "(", list.items.count == 1 ? ",)" : ")")
        case .dictionary(let dictionary): try represent(dictionary)
        case .view(let view):
            try write(view.kind.rawValue + "([")
            for index in view.dictionary.keys.indices {
                if index > 0 { try write(", ") }
                try represent(try view.element(at: index, allowance))
            }
            try write("])")
        case .range(let range):
            try write("range(\(range.start), \(range.stop)\(range.step == 1 ? "" : ", \(range.step)"))")
        case .namespace: try write("<Namespace>")
        case .macro(let macro): try write("<Macro '\(macro.definition.name)'>")
        case .loop(let loop): try write("<LoopContext \(loop.index0 + 1)/\(try loop.length())>")
        case .iterator, .method, .function: try write("<\(value.typeName)>")
        }
    }

    private mutating func representAll(_ items: [Value], _ open: String, _ close: String) throws(Fault) {
        try write(open)
        for (index, item) in items.enumerated() {
            if index > 0 { try write(", ") }
            try represent(item)
        }
        try write(close)
    }

    private mutating func represent(_ dictionary: DictionaryValue) throws(Fault) {
        try write("{")
        for (index, key) in dictionary.keys.enumerated() {
            if index > 0 { try write(", ") }
            try represent(key)
            try write(": ")
            try represent(dictionary.values[index])
        }
        try write("}")
    }

    private mutating func represent(_ text: Text) throws(Fault) {
        try allowance.step(text.bytes.count / 64)
        let hasSingle = text.bytes.contains(UInt8(ascii: "'")), hasDouble = text.bytes.contains(UInt8(ascii: "\""))
        let quote: Unicode.Scalar = hasSingle && !hasDouble ? "\"" : "'"
        var result = String.UnicodeScalarView([quote])
        for scalar in text.scalars {
            switch scalar {
            case quote, "\\":
                result.append("\\")
                result.append(scalar)
            case "\n": result.append(contentsOf: "\\n".unicodeScalars)
            case "\r": result.append(contentsOf: "\\r".unicodeScalars)
            case "\t": result.append(contentsOf: "\\t".unicodeScalars)
            case _ where scalar.isPrintable: result.append(scalar)
            default: result.append(contentsOf: Self.escape(scalar).unicodeScalars)
            }
        }
        result.append(quote)
        try write(String(result))
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let (prefix, width) = scalar.value < 0x100 ? ("\\x", 2) : scalar.value < 0x10000 ? ("\\u", 4) : ("\\U", 8)
        let digits = String(scalar.value, radix: 16)
        return prefix + String(repeating: "0", count: width - digits.count) + digits
    }
}

extension Unicode.Scalar {
    /// As Python's `str.isprintable` has it.
    var isPrintable: Bool {
        if self == " " { return true }
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator, .spaceSeparator: return false
        default: return true
        }
    }
}

extension Value {
    /// Python's `str(self)`.
    func printed(_ allowance: Allowance) throws(Fault) -> Text {
        if case .string(let text) = self { return text }
        var printer = ValuePrinter(allowance)
        try printer.print(self)
        return Text(bytes: printer.bytes)
    }
}
