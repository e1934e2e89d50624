/// Python's `json.dumps`, as chat templates know it by the name of `tojson`.
struct JSONPrinter {
    struct Style {
        var isASCII = false
        /// What one level is indented by; without it all is one line.
        var indent: Text?
        var itemSeparator: Text
        var keySeparator = Text(": ")
        var sortsKeys = false
    }

    private(set) var bytes: [UInt8] = []
    private let style: Style
    private let allowance: Allowance

    init(_ style: Style, _ allowance: Allowance) {
        self.style = style
        self.allowance = allowance
    }

    private mutating func write(_ more: some Collection<UInt8>) throws(Fault) {
        try allowance.make(bytes: more.count)
        bytes += more
    }

    mutating func print(_ value: Value, level: Int = 0) throws(Fault) {
        try allowance.step()
        switch value {
        case .null, .boolean, .integer, .wideInteger, .float: try write(try Self.scalar(value).utf8)
        case .string(let text): try quote(text)
        case .list(let list), .tuple(let list):
            if list.items.isEmpty { return try write("[]".utf8) }
            try write("[".utf8)
            for (index, item) in list.items.enumerated() {
                try separate(index, level: level + 1)
                try print(item, level: level + 1)
            }
            try breakLine(level: level)
            try write("]".utf8)
        case .dictionary(let dictionary): try print(dictionary, level: level)
        default: throw .failed("Object of type \(value.typeName) is not JSON serializable")
        }
    }

    private static func scalar(_ value: Value) throws(Fault) -> String {
        switch value {
        case .null: "null"
        case .boolean(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .wideInteger(let digits): digits.string
        case .float(let value): PythonFloat.text(value, infinity: "Infinity", nan: "NaN")
        default: throw .failed("keys must be str, int, float, bool or None, not \(value.typeName)")
        }
    }

    private mutating func print(_ dictionary: DictionaryValue, level: Int) throws(Fault) {
        if dictionary.keys.isEmpty { return try write("{}".utf8) }
        var members: [(key: Value, value: Value)] = Array(zip(dictionary.keys, dictionary.values))
        if style.sortsKeys {
            let allowance = allowance
            members = try members.sortedStably { left, right throws(Fault) in try left.key.isLess(than: right.key, "<", allowance) }
        }
        try write("{".utf8)
        for (index, (key, value)) in members.enumerated() {
            try separate(index, level: level + 1)
            if case .string(let name) = key { try quote(name) } else { try quote(Text(try Self.scalar(key))) }
            try write(style.keySeparator.bytes)
            try print(value, level: level + 1)
        }
        try breakLine(level: level)
        try write("}".utf8)
    }

    private mutating func separate(_ index: Int, level: Int) throws(Fault) {
        if index > 0 { try write(style.itemSeparator.bytes) }
        try breakLine(level: level)
    }

    private mutating func breakLine(level: Int) throws(Fault) {
        guard let indent = style.indent else { return }
        try write("\n".utf8)
        for _ in 0..<level { try write(indent.bytes) }
    }

    private mutating func quote(_ text: Text) throws(Fault) {
        var result: [UInt8] = [UInt8(ascii: "\"")]
        for scalar in text.scalars {
            switch scalar.value {
            case 0x22: result += "\\\"".utf8
            case 0x5C: result += "\\\\".utf8
            case 0x0A: result += "\\n".utf8
            case 0x0D: result += "\\r".utf8
            case 0x09: result += "\\t".utf8
            case 0x08: result += "\\b".utf8
            case 0x0C: result += "\\f".utf8
            case ..<0x20: result += Self.escape(UInt16(scalar.value)).utf8
            case 0x80... where style.isASCII: for unit in Character(scalar).utf16 { result += Self.escape(unit).utf8 }
            default: result += Array(Character(scalar).utf8)
            }
        }
        result.append(UInt8(ascii: "\""))
        try write(result)
    }

    private static func escape(_ unit: UInt16) -> String {
        let digits = String(unit, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }
}

extension Array {
    /// By merging; equal elements keep their order.
    func sortedStably<Failure: Error>(_ isBefore: (Element, Element) throws(Failure) -> Bool) throws(Failure) -> [Element] {
        var sorted = self, merged = self
        var width = 1
        while width < count {
            var start = 0
            while start < count {
                let middle = Swift.min(start + width, count), end = Swift.min(start + 2 * width, count)
                var left = start, right = middle
                for index in start..<end {
                    let takesRight: Bool
                    if left == middle { takesRight = true }
                    else if right == end { takesRight = false }
                    else { takesRight = try isBefore(sorted[right], sorted[left]) }
                    merged[index] = sorted[takesRight ? right : left]
                    if takesRight { right += 1 } else { left += 1 }
                }
                start = end
            }
            swap(&sorted, &merged)
            width *= 2
        }
        return sorted
    }
}
