extension Renderer {
    func applySequenceFilter(_ filter: Filter, to value: Value, _ arguments: CallArguments) throws(Fault) -> Value {
        switch filter {
        case .length:
            _ = try arguments.bound("length", [])
            if case .string(let text) = value { try allowance.step(text.bytes.count / 64) }
            if case .loop(let loop) = value { return .integer(try loop.length()) }
            guard let length = value.length else { throw .failed("object of type '\(value.typeName)' has no len()") }
            return .integer(length)
        case .list:
            _ = try arguments.bound("list", [])
            return try .list(of: value.array(allowance), allowance)
        case .first:
            _ = try arguments.bound("first", [])
            return try value.elements(allowance).next() ?? .undefined(.because("No first item, sequence was empty."))
        case .last: return try last(of: value, arguments)
        case .join: return .string(try join(value, arguments))
        case .items:
            _ = try arguments.bound("items", [])
            if value.isUndefined { return .iterator(IteratorValue(depth: 0) { () throws(Fault) in nil }) }
            guard case .dictionary(let dictionary) = value else { throw .failed("Can only get item pairs from a mapping.") }
            return .iterator(try Value.view(DictionaryView(kind: .items, dictionary: dictionary)).elements(allowance))
        case .dictsort: return try sortMembers(of: value, arguments)
        case .sort: return try sort(value, arguments)
        case .unique: return try unique(value, arguments)
        case .max, .min: return try extreme(value, filter, arguments)
        case .reverse: return try reverse(value, arguments)
        case .batch, .slice: return try divide(value, filter, arguments)
        default: throw Fault(.unsupported, "the filter '\(filter.rawValue)' is not supported")
        }
    }

    private func last(of value: Value, _ arguments: CallArguments) throws(Fault) -> Value {
        _ = try arguments.bound("last", [])
        switch value {
        case .iterator, .loop, .namespace: throw .failed("'\(value.typeName)' object is not reversible")
        case .string(let text):
            try allowance.step(text.bytes.count / 64)
            return text.scalars.last.map { .text(String(Character($0))) } ?? .undefined(.because("No last item, sequence was empty."))
        default: return try value.array(allowance).last ?? .undefined(.because("No last item, sequence was empty."))
        }
    }

    private func join(_ value: Value, _ arguments: CallArguments) throws(Fault) -> Text {
        let values = try arguments.bound("join", ["d", "attribute"])
        let separator = try (values[0] ?? .text("")).printed(allowance), getter = AttributePath(values[1])
        var printer = ValuePrinter(allowance)
        let elements = try value.elements(allowance)
        var isFirst = true
        while let element = try elements.next() {
            if !isFirst { try printer.write(separator) }
            isFirst = false
            try printer.print(try getter.value(of: element, in: self))
        }
        return Text(bytes: printer.bytes)
    }

    private func reverse(_ value: Value, _ arguments: CallArguments) throws(Fault) -> Value {
        _ = try arguments.bound("reverse", [])
        switch value {
        case .string(let text):
            try allowance.make(elements: text.bytes.count)
            return .string(Text(text.scalars.reversed()))
        case .loop, .namespace: throw .failed("argument must be iterable")
        default:
            let items = try value.array(allowance)
            var index = items.count
            let iterator = IteratorValue(depth: try Value.depth(over: [value])) { () throws(Fault) in
                guard index > 0 else { return nil }
                index -= 1
                return items[index]
            }
            // Python makes a list of what it cannot read backwards.
            if case .iterator = value { return try .list(of: items.reversed(), allowance) }
            return .iterator(iterator)
        }
    }

    private func divide(_ value: Value, _ filter: Filter, _ arguments: CallArguments) throws(Fault) -> Value {
        let values = try arguments.bound(filter.rawValue, [filter == .batch ? "linecount" : "slices", "fill_with"], required: 1)
        let count = try (values[0] ?? .null).requireInteger("the count")
        let items = try value.array(allowance)
        guard count > 0, count <= 100_000 else { throw .failed("the count must be between 1 and 100000, but is \(count)") }
        var fill: Value?
        if let given = values[1] { if case .null = given {} else { fill = given } }
        var parts: [Value] = []
        var start = 0
        for index in 0..<(filter == .batch ? (items.count + count - 1) / count : count) {
            let size = filter == .batch ? min(count, items.count - start) : items.count / count + (index < items.count % count ? 1 : 0)
            var part = Array(items[start..<start + size])
            start += size
            if let fill, filter == .batch { part += Array(repeating: fill, count: count - size) }
            if let fill, filter == .slice, index >= items.count % count { part.append(fill) }
            parts.append(try .list(of: part, allowance))
        }
        return .iterator(try Value.list(of: parts, allowance).elements(allowance))
    }

    // MARK: Order

    /// Strings in lower case, so that case does not count.
    private func folded(_ value: Value, _ isCaseSensitive: Bool) throws(Fault) -> Value {
        guard !isCaseSensitive, case .string(let text) = value else { return value }
        return .string(try mapped(text, "lower"))
    }

    private func sorted(_ items: [(key: [Value], value: Value)], isReversed: Bool) throws(Fault) -> [Value] {
        let allowance = allowance
        func isBefore(_ left: [Value], _ right: [Value]) throws(Fault) -> Bool {
            for (first, second) in zip(left, right) {
                if try first.isEqual(to: second, allowance) { continue }
                return try first.isLess(than: second, "<", allowance)
            }
            return false
        }
        // Equal elements keep their order in either direction.
        let sorted = try items.sortedStably { left, right throws(Fault) in
            isReversed ? try isBefore(right.key, left.key) : try isBefore(left.key, right.key)
        }
        return sorted.map(\.value)
    }

    private func sort(_ value: Value, _ arguments: CallArguments) throws(Fault) -> Value {
        let values = try arguments.bound("sort", ["reverse", "case_sensitive", "attribute"])
        let isCaseSensitive = values[1]?.isTrue ?? false
        var paths = [AttributePath(values[2])]
        if case .string(let names)? = values[2] {
            paths = names.string.split(separator: ",", omittingEmptySubsequences: false).map { AttributePath(.text(String($0))) }
        }
        var items: [(key: [Value], value: Value)] = []
        for item in try value.array(allowance) {
            var key: [Value] = []
            for path in paths { key.append(try folded(try path.value(of: item, in: self), isCaseSensitive)) }
            items.append((key, item))
        }
        return try .list(of: sorted(items, isReversed: values[0]?.isTrue ?? false), allowance)
    }

    private func sortMembers(of value: Value, _ arguments: CallArguments) throws(Fault) -> Value {
        let values = try arguments.bound("dictsort", ["case_sensitive", "by", "reverse"])
        if case .undefined(let undefined) = value { throw .failed(undefined.message) }
        guard case .dictionary(let dictionary) = value else { throw .failed("'\(value.typeName)' object has no attribute 'items'") }
        let by = try values[1]?.requireText("by").string ?? "key"
        guard by == "key" || by == "value" else { throw .failed("You can only sort by either \"key\" or \"value\"") }
        var items: [(key: [Value], value: Value)] = []
        for (key, member) in zip(dictionary.keys, dictionary.values) {
            let sortKey = try folded(by == "key" ? key : member, values[0]?.isTrue ?? false)
            items.append(([sortKey], try .tuple(of: [key, member], allowance)))
        }
        return try .list(of: sorted(items, isReversed: values[2]?.isTrue ?? false), allowance)
    }

    private func unique(_ value: Value, _ arguments: CallArguments) throws(Fault) -> Value {
        let values = try arguments.bound("unique", ["case_sensitive", "attribute"])
        let isCaseSensitive = values[0]?.isTrue ?? false, path = AttributePath(values[1])
        let source = try value.elements(allowance), allowance = allowance
        var seenTexts: Set<Text> = [], seen: [Value] = []
        return .iterator(IteratorValue(depth: try Value.depth(over: [value])) { [unowned self] () throws(Fault) in
            search: while let element = try source.next() {
                let key = try folded(try path.value(of: element, in: self), isCaseSensitive)
                try key.checkHashable()
                if case .string(let text) = key {
                    if seenTexts.insert(text).inserted { return element }
                    continue
                }
                for other in seen where try other.isEqual(to: key, allowance) { continue search }
                seen.append(key)
                return element
            }
            return nil
        })
    }

    private func extreme(_ value: Value, _ filter: Filter, _ arguments: CallArguments) throws(Fault) -> Value {
        let values = try arguments.bound(filter.rawValue, ["case_sensitive", "attribute"])
        let isCaseSensitive = values[0]?.isTrue ?? false, path = AttributePath(values[1])
        var best: (key: Value, value: Value)?
        let elements = try value.elements(allowance)
        while let element = try elements.next() {
            let key = try folded(try path.value(of: element, in: self), isCaseSensitive)
            if let known = best {
                let isBetter = filter == .max ? try known.key.isLess(than: key, ">", allowance) : try key.isLess(than: known.key, "<", allowance)
                if !isBetter { continue }
            }
            best = (key, element)
        }
        return best?.value ?? .undefined(.because("No aggregated item, sequence was empty."))
    }

    // MARK: Element by element

    /// `map`, `select` and their like, whose results are made when asked for.
    func applyElementwise(_ filter: Filter, to value: Value, _ arguments: CallArguments) throws(Fault) -> Value {
        guard value.isTrue else { return .iterator(IteratorValue(depth: 0) { () throws(Fault) in nil }) }
        let depth = try Value.depth(over: [value] + arguments.positional + arguments.keywords.map(\.value))
        let source = try value.elements(allowance)
        if filter == .map {
            let transform = try transform(arguments)
            return .iterator(IteratorValue(depth: depth) { () throws(Fault) in
                guard let element = try source.next() else { return nil }
                return try transform(element)
            })
        }
        let wanted = filter == .select || filter == .selectattr
        let passes = try predicate(arguments, onAttribute: filter == .selectattr || filter == .rejectattr)
        return .iterator(IteratorValue(depth: depth) { () throws(Fault) in
            while let element = try source.next() { if try passes(element) == wanted { return element } }
            return nil
        })
    }

    private func transform(_ arguments: CallArguments) throws(Fault) -> (Value) throws(Fault) -> Value {
        if arguments.positional.isEmpty, arguments.keywords.contains(where: { $0.name == "attribute" }) {
            let values = try arguments.bound("map", ["attribute", "default"])
            let path = AttributePath(values[0], fallback: values[1])
            return { [unowned self] element throws(Fault) in try path.value(of: element, in: self) }
        }
        guard let name = arguments.positional.first else { throw .failed("map requires a filter argument") }
        let text = try name.requireText("a filter's name").string
        guard let filter = Filter(named: text) else { throw .failed("No filter named '\(text)'.") }
        let rest = CallArguments(positional: Array(arguments.positional.dropFirst()), keywords: arguments.keywords)
        return { [unowned self] element throws(Fault) in
            try nested(at: position) { () throws(Fault) in try apply(filter, to: element, rest) }
        }
    }

    private func predicate(_ arguments: CallArguments, onAttribute: Bool) throws(Fault) -> (Value) throws(Fault) -> Bool {
        var rest = arguments.positional[...]
        if onAttribute, rest.isEmpty { throw .failed("Missing parameter for attribute name") }
        let path = AttributePath(onAttribute ? rest.removeFirst() : nil)
        guard let name = rest.popFirst() else {
            return { [unowned self] element throws(Fault) in try path.value(of: element, in: self).isTrue }
        }
        let text = try name.requireText("a test's name").string
        guard let test = Test(named: text) else { throw .failed("No test named '\(text)'.") }
        let more = CallArguments(positional: Array(rest), keywords: arguments.keywords)
        return { [unowned self] element throws(Fault) in try passes(test, path.value(of: element, in: self), more) }
    }
}

/// The argument `attribute` of filters: names and indices with dots between them.
struct AttributePath {
    private let steps: [Value]
    private let fallback: Value?

    init(_ attribute: Value?, fallback: Value? = nil) {
        self.fallback = fallback.flatMap { if case .null = $0 { nil } else { $0 } }
        switch attribute {
        case .string(let text)?:
            steps = text.string.split(separator: ".", omittingEmptySubsequences: false).map { step in
                step.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } ? Int(step).map { .integer($0) } ?? .text(String(step)) : .text(String(step))
            }
        case nil, .null?: steps = []
        case let other?: steps = [other]
        }
    }

    func value(of element: Value, in renderer: Renderer) throws(Fault) -> Value {
        var value = element
        for step in steps {
            value = try renderer.item(step, of: value)
            if value.isUndefined, let fallback { value = fallback }
        }
        return value
    }
}
