/// The filters that templates can name.
enum Filter: String, CaseIterable, Sendable {
    case abs, attr, batch, capitalize, center, `default`, dictsort, first, float, format, indent, int, items, join, last, length, list
    case lower, map, max, min, reject, rejectattr, replace, reverse, round, safe, select, selectattr, slice, sort, string, sum, title
    case tojson, trim, truncate, unique, upper, wordcount

    init?(named name: String) {
        switch name {
        case "count": self = .length
        case "d": self = .default
        default: self.init(rawValue: name)
        }
    }
}

extension Renderer {
    func apply(_ filter: Filter, to value: Value, _ arguments: CallArguments) throws(Fault) -> Value {
        switch filter {
        case .capitalize, .lower, .upper:
            _ = try arguments.bound(filter.rawValue, [])
            return .string(try mapped(try value.printed(allowance), filter.rawValue))
        case .title:
            _ = try arguments.bound("title", [])
            let text = try value.printed(allowance)
            try allowance.make(bytes: 3 * text.bytes.count)
            try allowance.step(text.bytes.count / 16)
            return .string(text.filterTitlecased)
        case .trim:
            let characters = try arguments.bound("trim", ["chars"])[0]
            let text = try value.printed(allowance)
            try allowance.step(text.bytes.count / 64)
            return .string(try strip(text, characters))
        // Nothing is escaped here, so that what is safe is a string like any other.
        case .string, .safe:
            _ = try arguments.bound(filter.rawValue, [])
            return .string(try value.printed(allowance))
        case .replace, .indent, .center, .truncate, .wordcount, .format: return try applyTextFilter(filter, to: value, arguments)
        case .abs, .float, .int, .round, .sum: return try applyNumberFilter(filter, to: value, arguments)
        case .map, .select, .reject, .selectattr, .rejectattr: return try applyElementwise(filter, to: value, arguments)
        case .tojson: return .string(try json(of: value, arguments))
        case .default:
            let values = try arguments.bound("default", ["default_value", "boolean"])
            let isReplaced = value.isUndefined || (values[1]?.isTrue == true && !value.isTrue)
            return isReplaced ? values[0] ?? .text("") : value
        case .attr:
            let name = try (arguments.bound("attr", ["name"], required: 1)[0] ?? .null).requireText("an attribute's name").string
            if case .dictionary = value, !["copy", "get", "items", "keys", "values"].contains(name) {
                return .undefined(.attribute(name, ofType: "dict object"))
            }
            return try attribute(name, of: value)
        default: return try applySequenceFilter(filter, to: value, arguments)
        }
    }

    // MARK: Texts

    private func applyTextFilter(_ filter: Filter, to value: Value, _ arguments: CallArguments) throws(Fault) -> Value {
        switch filter {
        case .replace:
            let values = try arguments.bound("replace", ["old", "new", "count"], required: 2)
            var limit = -1
            if let count = values[2] { if case .null = count {} else { limit = try count.requireInteger("the count") } }
            let text = try value.printed(allowance)
            try allowance.step(text.bytes.count / 64)
            return .string(try replace(
                in: text, (values[0] ?? .null).printed(allowance), by: (values[1] ?? .null).printed(allowance), atMost: limit))
        case .center:
            let width = try arguments.bound("center", ["width"])[0] ?? .integer(80)
            return try call(textMethod: "center", of: value.printed(allowance), CallArguments(positional: [width]))
        case .indent: return .string(try indent(value, arguments))
        case .truncate: return try truncate(value, arguments)
        case .format:
            guard arguments.positional.isEmpty || arguments.keywords.isEmpty else {
                throw .failed("can't handle positional and keyword arguments at the same time")
            }
            var operand = try Value.tuple(of: arguments.positional, allowance)
            if !arguments.keywords.isEmpty { operand = try call(.dict, CallArguments(keywords: arguments.keywords)) }
            return try compute(.modulo, .string(try value.printed(allowance)), operand)
        default:
            let text = try value.printed(allowance)
            try allowance.step(text.bytes.count / 64)
            var count = 0, isInWord = false
            for scalar in text.scalars {
                let isWord = scalar.isLetter || scalar.isNumeric || scalar == "_"
                if isWord, !isInWord { count += 1 }
                isInWord = isWord
            }
            return .integer(count)
        }
    }

    private func indent(_ value: Value, _ arguments: CallArguments) throws(Fault) -> Text {
        let values = try arguments.bound("indent", ["width", "first", "blank"])
        guard case .string(var text) = value else {
            throw .failed("indent needs a string, not '\(value.typeName)'")
        }
        var indentation = Text(" ")
        if case .string(let given)? = values[0] {
            indentation = given
        } else {
            indentation = try repeated(indentation, values[0]?.requireInteger("the width") ?? 4)
        }
        let indentsFirst = values[1]?.isTrue ?? false, indentsBlank = values[2]?.isTrue ?? false
        text.append(Text("\n"))
        var printer = ValuePrinter(allowance)
        for (index, line) in try lines(of: text).enumerated() {
            if index > 0 { try printer.write("\n") }
            if index == 0 ? indentsFirst : indentsBlank || !line.isEmpty { try printer.write(indentation) }
            try printer.write(line)
        }
        return Text(bytes: printer.bytes)
    }

    private func truncate(_ value: Value, _ arguments: CallArguments) throws(Fault) -> Value {
        let values = try arguments.bound("truncate", ["length", "killwords", "end", "leeway"])
        let length = try values[0]?.requireInteger("the length") ?? 255
        let end = try values[2]?.requireText("the end") ?? Text("...")
        let leeway = try values[3]?.requireInteger("the leeway") ?? 5
        guard length >= end.count, leeway >= 0 else { throw .failed("expected length >= \(end.count), got \(length)") }
        if let count = value.length, count - leeway <= length { return value }
        let text = try value.requireText("the text to truncate")
        var kept = text.slice(0..<(length - end.count))
        if values[1]?.isTrue != true, let space = kept.offsetsFromEnd(of: Text(" "), atMost: 1).first {
            kept = Text(bytes: kept.bytes[..<space])
        }
        kept.append(end)
        return .string(kept)
    }

    // MARK: JSON

    private func json(of value: Value, _ arguments: CallArguments) throws(Fault) -> Text {
        let values = try arguments.bound("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])
        var style = JSONPrinter.Style(itemSeparator: Text(", "))
        style.isASCII = values[0]?.isTrue ?? false
        style.sortsKeys = values[3]?.isTrue ?? false
        switch values[1] ?? .null {
        case .null: break
        case .string(let text): style.indent = text
        case let width: style.indent = try repeated(Text(" "), try width.requireInteger("the indentation"))
        }
        if style.indent != nil { style.itemSeparator = Text(",") }
        if let separators = values[2], separators.isTrue {
            let pair = try separators.array(allowance)
            guard pair.count == 2 else { throw .failed("separators must be a pair") }
            style.itemSeparator = try pair[0].requireText("a separator")
            style.keySeparator = try pair[1].requireText("a separator")
        }
        var printer = JSONPrinter(style, allowance)
        try printer.print(value)
        return Text(bytes: printer.bytes)
    }
}
