/// Methods of Python's `str`.
extension Renderer {
    static let textMethods: Set<String> = [
        "capitalize", "center", "count", "endswith", "find", "format", "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit",
        "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper", "join", "ljust", "lower", "lstrip", "partition",
        "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split", "splitlines",
        "startswith", "strip", "swapcase", "title", "upper", "zfill",
    ]
    /// Those that Python has as well.
    static let otherTextMethods: Set<String> = [
        "casefold", "encode", "expandtabs", "format_map", "isidentifier", "maketrans", "translate",
    ]

    func call(textMethod name: String, of text: Text, _ arguments: CallArguments) throws(Fault) -> Value {
        try allowance.step(text.bytes.count / 64)
        switch name {
        case "capitalize", "lower", "swapcase", "title", "upper":
            _ = try arguments.bound(name, [])
            return .string(try mapped(text, name))
        case "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper":
            _ = try arguments.bound(name, [])
            return .boolean(Self.answer(name, about: text))
        case "strip", "lstrip", "rstrip":
            let characters = try arguments.bound(name, ["chars"])[0]
            return .string(try strip(text, characters, atStart: name != "rstrip", atEnd: name != "lstrip"))
        case "split", "rsplit", "splitlines", "partition", "rpartition", "join": return try callSplitting(name, of: text, arguments)
        case "startswith", "endswith", "find", "rfind", "index", "rindex", "count": return try callSearching(name, of: text, arguments)
        case "replace":
            let values = try arguments.bound(name, ["old", "new", "count"], required: 2)
            return .string(try replace(
                in: text, (values[0] ?? .null).requireText("the text to replace"), by: (values[1] ?? .null).requireText("the replacement"),
                atMost: values[2]?.requireInteger("the count") ?? -1))
        case "removeprefix", "removesuffix":
            let part = try (arguments.bound(name, ["part"], required: 1)[0] ?? .null).requireText("a part")
            if name == "removeprefix" { return .string(text.hasPrefix(part) ? Text(bytes: text.bytes.dropFirst(part.bytes.count)) : text) }
            return .string(text.hasSuffix(part) ? Text(bytes: text.bytes.dropLast(part.bytes.count)) : text)
        case "format":
            var formatter = BraceFormatter(text, arguments, allowance)
            return .string(try formatter.formatted())
        default: return .string(try pad(text, name, arguments))
        }
    }

    func mapped(_ text: Text, _ name: String) throws(Fault) -> Text {
        // A scalar's full mapping has up to three scalars.
        try allowance.make(bytes: 3 * text.bytes.count)
        try allowance.step(text.bytes.count / 16)
        switch name {
        case "capitalize": return text.capitalized
        case "lower": return text.lowercased
        case "swapcase": return text.caseSwapped
        case "title": return text.titlecased
        default: return text.uppercased
        }
    }

    private static func answer(_ name: String, about text: Text) -> Bool {
        let scalars = text.scalars
        switch name {
        case "isascii": return text.isASCII
        case "islower": return text.isLower
        case "isupper": return text.isUpper
        case "istitle": return text.isTitle
        case "isprintable": return scalars.allSatisfy(\.isPrintable)
        default: break
        }
        guard !text.isEmpty else { return false }
        switch name {
        case "isalpha": return scalars.allSatisfy(\.isLetter)
        case "isdecimal": return scalars.allSatisfy(\.isDecimal)
        case "isdigit": return scalars.allSatisfy(\.isDigit)
        case "isnumeric": return scalars.allSatisfy(\.isNumeric)
        case "isspace": return scalars.allSatisfy(WhiteSpace.contains)
        default: return scalars.allSatisfy { $0.isLetter || $0.isNumeric }
        }
    }

    // MARK: Stripping and padding

    func strip(_ text: Text, _ characters: Value?, atStart: Bool = true, atEnd: Bool = true) throws(Fault) -> Text {
        try allowance.make(bytes: text.bytes.count)
        var range = 0..<text.bytes.count
        switch characters ?? .null {
        case .null:
            if atStart { range = WhiteSpace.end(in: text.bytes, from: 0)..<range.upperBound }
            if atEnd { range = range.lowerBound..<WhiteSpace.start(in: text.bytes, range) }
            return Text(bytes: text.bytes[range])
        case .string(let characters):
            let unwanted = Set(characters.scalars)
            var rest = Array(text.scalars)[...]
            if atStart { rest = rest.drop { unwanted.contains($0) } }
            if atEnd { while let last = rest.last, unwanted.contains(last) { rest.removeLast() } }
            return Text(rest)
        default: throw .failed("strip arg must be None or str")
        }
    }

    private func pad(_ text: Text, _ name: String, _ arguments: CallArguments) throws(Fault) -> Text {
        let values = try arguments.bound(name, name == "zfill" ? ["width"] : ["width", "fillchar"], required: 1)
        let width = try (values[0] ?? .null).requireInteger("the width")
        let filler = name == "zfill" ? Text("0") : try values.count > 1 ? values[1]?.requireText("the fill character") ?? Text(" ") : Text(" ")
        guard filler.count == 1 else { throw .failed("The fill character must be exactly one character long") }
        let missing = width > text.count ? width - text.count : 0
        guard missing > 0 else { return text }
        let left: Int
        switch name {
        case "ljust": left = 0
        case "center": left = missing / 2 + (missing & width & 1)
        default: left = missing
        }
        let padding = try repeated(filler, missing)
        let bytes = padding.bytes.prefix(left * filler.bytes.count)
        if name == "zfill", let sign = text.bytes.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
            return Text(bytes: [sign] + bytes + text.bytes.dropFirst())
        }
        return Text(bytes: bytes + text.bytes + padding.bytes.dropFirst(bytes.count))
    }

    func repeated(_ text: Text, _ count: Int) throws(Fault) -> Text {
        guard case .string(let result) = try compute(.multiply, .string(text), .integer(count)) else { return text }
        return result
    }

    func replace(in text: Text, _ old: Text, by new: Text, atMost limit: Int) throws(Fault) -> Text {
        try allowance.make(bytes: text.bytes.count)
        let limit = limit < 0 ? Int.max : limit
        var places: [Int]
        if old.isEmpty {
            // Between all scalars, and at both ends.
            try allowance.make(elements: text.bytes.count + 1)
            places = (0...text.bytes.count).filter { $0 == text.bytes.count || text.bytes[$0] & 0xC0 != 0x80 }
            if limit < places.count { places.removeSubrange(limit...) }
        } else {
            places = text.offsets(of: old, atMost: limit)
        }
        guard !places.isEmpty else { return text }
        let (growth, overflow) = new.bytes.count.multipliedReportingOverflow(by: places.count)
        try allowance.make(bytes: overflow ? .max : growth)
        var bytes: [UInt8] = []
        var start = 0
        for place in places {
            bytes += text.bytes[start..<place]
            bytes += new.bytes
            start = place + old.bytes.count
        }
        return Text(bytes: bytes + text.bytes[start...])
    }

    // MARK: Splitting

    private func callSplitting(_ name: String, of text: Text, _ arguments: CallArguments) throws(Fault) -> Value {
        switch name {
        case "join":
            let parts = try (arguments.bound(name, ["iterable"], required: 1)[0] ?? .null).array(allowance)
            var printer = ValuePrinter(allowance)
            for (index, part) in parts.enumerated() {
                guard case .string(let part) = part else {
                    throw .failed("sequence item \(index): expected str instance, \(part.typeName) found")
                }
                if index > 0 { try printer.write(text) }
                try printer.write(part)
            }
            return .string(Text(bytes: printer.bytes))
        case "partition", "rpartition":
            let separator = try (arguments.bound(name, ["sep"], required: 1)[0] ?? .null).requireText("a separator")
            guard !separator.isEmpty else { throw .failed("empty separator") }
            let isFromEnd = name == "rpartition"
            let found = isFromEnd ? text.offsetsFromEnd(of: separator, atMost: 1) : text.offsets(of: separator, atMost: 1)
            guard let place = found.first else {
                let parts: [Value] = isFromEnd ? [.text(""), .text(""), .string(text)] : [.string(text), .text(""), .text("")]
                return try .tuple(of: parts, allowance)
            }
            let rest = text.bytes[(place + separator.bytes.count)...]
            return try .tuple(of: [.string(Text(bytes: text.bytes[..<place])), .string(separator), .string(Text(bytes: rest))], allowance)
        case "splitlines":
            let keeps = try arguments.bound(name, ["keepends"])[0]?.isTrue ?? false
            return try makeList(lines(of: text, keepingEnds: keeps))
        default:
            let values = try arguments.bound(name, ["sep", "maxsplit"])
            let limit = try values[1]?.requireInteger("maxsplit") ?? -1
            return try makeList(split(text, values[0] ?? .null, atMost: limit < 0 ? .max : limit, fromEnd: name == "rsplit"))
        }
    }

    private func makeList(_ parts: [Text]) throws(Fault) -> Value { try .list(of: parts.map { .string($0) }, allowance) }

    private func split(_ text: Text, _ separator: Value, atMost limit: Int, fromEnd: Bool) throws(Fault) -> [Text] {
        try allowance.make(bytes: text.bytes.count)
        switch separator {
        case .null: return splitWords(text, atMost: limit, fromEnd: fromEnd)
        case .string(let separator):
            guard !separator.isEmpty else { throw .failed("empty separator") }
            let places = fromEnd ? text.offsetsFromEnd(of: separator, atMost: limit) : text.offsets(of: separator, atMost: limit)
            try allowance.make(elements: places.count)
            var parts: [Text] = []
            var start = 0
            for place in places {
                parts.append(Text(bytes: text.bytes[start..<place]))
                start = place + separator.bytes.count
            }
            return parts + [Text(bytes: text.bytes[start...])]
        default: throw .failed("must be str or None, not \(separator.typeName)")
        }
    }

    /// At runs of white space; what the limit leaves whole keeps its inner white space.
    private func splitWords(_ text: Text, atMost limit: Int, fromEnd: Bool) -> [Text] {
        let bytes = text.bytes
        var words: [Range<Int>] = []
        var index = WhiteSpace.end(in: bytes, from: 0)
        while index < bytes.count {
            let start = index
            while index < bytes.count, WhiteSpace.width(in: bytes, at: index) == 0 { index += Text.width(ofLead: bytes[index]) }
            words.append(start..<min(index, bytes.count))
            index = WhiteSpace.end(in: bytes, from: index)
        }
        guard words.count > limit else { return words.map { Text(bytes: bytes[$0]) } }
        if fromEnd {
            let whole = bytes[..<words[words.count - limit - 1].upperBound]
            return [Text(bytes: whole)] + words.suffix(limit).map { Text(bytes: bytes[$0]) }
        }
        let whole = bytes[words[limit].lowerBound...]
        return words.prefix(limit).map { Text(bytes: bytes[$0]) } + [Text(bytes: whole)]
    }

    func lines(of text: Text, keepingEnds: Bool = false) throws(Fault) -> [Text] {
        try allowance.make(bytes: text.bytes.count)
        let bytes = text.bytes
        var lines: [Text] = []
        var start = 0, index = 0
        while index < bytes.count {
            let width = Self.widthOfLineEnd(bytes, index)
            if width > 0 {
                try allowance.make(elements: 1)
                lines.append(Text(bytes: bytes[start..<(keepingEnds ? index + width : index)]))
                start = index + width
                index = start
            } else {
                index += 1
            }
        }
        return start < bytes.count ? lines + [Text(bytes: bytes[start...])] : lines
    }

    private static func widthOfLineEnd(_ bytes: [UInt8], _ index: Int) -> Int {
        func byte(_ distance: Int) -> UInt8? { index + distance < bytes.count ? bytes[index + distance] : nil }
        switch bytes[index] {
        case 0x0D: return byte(1) == 0x0A ? 2 : 1
        case 0x0A...0x0C, 0x1C...0x1E: return 1
        case 0xC2: return byte(1) == 0x85 ? 2 : 0
        case 0xE2: return byte(1) == 0x80 && (byte(2) == 0xA8 || byte(2) == 0xA9) ? 3 : 0
        default: return 0
        }
    }

    // MARK: Searching

    private func callSearching(_ name: String, of text: Text, _ arguments: CallArguments) throws(Fault) -> Value {
        let values = try arguments.bound(name, ["sub", "start", "end"], required: 1)
        let count = text.count
        func bound(_ value: Value?, _ fallback: Int) throws(Fault) -> Int {
            guard let value, value.length != nil || value.asInteger != nil else { return fallback }
            let index = try value.requireInteger("a bound")
            return index < 0 ? max(index + count, 0) : index
        }
        let start = try bound(values[1], 0), end = min(try bound(values[2], count), count)
        var candidates = [values[0] ?? .null]
        let isAnchored = name == "startswith" || name == "endswith"
        if isAnchored, case .tuple(let list) = candidates[0] { candidates = list.items }
        var isFound = false
        for candidate in candidates {
            let part = try candidate.requireText("\(name) first arg")
            try allowance.step((text.bytes.count + part.bytes.count) / 64)
            guard start <= end else { continue }
            let window = values[1] == nil && values[2] == nil ? text : text.slice(start..<end)
            switch name {
            case "startswith": isFound = isFound || window.hasPrefix(part)
            case "endswith": isFound = isFound || window.hasSuffix(part)
            case "count": return .integer(part.isEmpty ? end - start + 1 : window.offsets(of: part).count)
            default:
                let isFromEnd = name.hasPrefix("r")
                let place = part.isEmpty ? (isFromEnd ? window.bytes.count : 0)
                    : (isFromEnd ? window.offsetsFromEnd(of: part, atMost: 1) : window.offsets(of: part, atMost: 1)).first
                if let place { return .integer(start + window.scalarIndex(ofOffset: place)) }
            }
        }
        if isAnchored { return .boolean(isFound) }
        if name == "count" { return .integer(0) }
        guard !name.hasSuffix("index") else { throw .failed("substring not found") }
        return .integer(-1)
    }
}
