/// Attributes, items and slices, as Jinja's sandbox gives them.
extension Renderer {
    /// `value.name`: what the type has by that name, else the item.
    func attribute(_ name: String, of value: Value) throws(Fault) -> Value {
        if case .undefined(let undefined) = value { throw .failed(undefined.message) }
        if let found = try typeAttribute(name, of: value) { return found }
        if case .dictionary(let dictionary) = value, let member = dictionary.value(for: Text(name)) { return member }
        return .undefined(.attribute(name, ofType: Self.objectName(value)))
    }

    /// `value[key]`: the item, else what the type has by that name.
    func item(_ key: Value, of value: Value) throws(Fault) -> Value {
        if case .undefined(let undefined) = value { throw .failed(undefined.message) }
        switch (value, key.asInteger) {
        case (.dictionary(let dictionary), _):
            if Self.isHashable(key), let member = try dictionary.member(key, allowance) { return member }
        case (.list(let list), let index?), (.tuple(let list), let index?):
            if let place = Self.place(of: index, in: list.items.count) { return list.items[place] }
        case (.string(let text), let index?):
            try allowance.step(text.bytes.count / 64)
            if let place = Self.place(of: index, in: text.count) { return .string(text.slice(place..<place + 1)) }
        case (.range(let range), let index?):
            if let place = Self.place(of: index, in: range.count) { return .integer(range[place]) }
        default: break
        }
        if case .string(let name) = key {
            if let found = try typeAttribute(name.string, of: value) { return found }
            return .undefined(.attribute(name.string, ofType: Self.objectName(value)))
        }
        var printer = ValuePrinter(allowance)
        try printer.represent(key)
        return .undefined(.element(String(decoding: printer.bytes, as: UTF8.self), ofType: Self.objectName(value)))
    }

    private static func isHashable(_ value: Value) -> Bool {
        do {
            try value.checkHashable()
            return true
        } catch {
            return false
        }
    }

    private static func objectName(_ value: Value) -> String {
        if case .null = value { return "None" }
        return value.typeName + " object"
    }

    /// An index that counts from the end if it is negative.
    private static func place(of index: Int, in count: Int) -> Int? {
        let place = index < 0 ? index + count : index
        return (0..<count).contains(place) ? place : nil
    }

    /// What Python's type has by that name, methods above all. Those that would change the value are undefined, in the sandbox's way.
    private func typeAttribute(_ name: String, of value: Value) throws(Fault) -> Value? {
        let methods: Set<String>, changing: Set<String>
        switch value {
        case .string: (methods, changing) = (Self.textMethods, [])
        case .dictionary: (methods, changing) = (["copy", "get", "items", "keys", "values"], ["clear", "pop", "popitem", "setdefault", "update"])
        case .list:
            (methods, changing) = (
                ["copy", "count", "index"], ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"])
        case .tuple: (methods, changing) = (["count", "index"], [])
        case .function(.dict): (methods, changing) = (["fromkeys"], [])
        case .namespace(let namespace): return namespace[name]
        case .loop(let loop):
            let found = try loop.attribute(name)
            return found.isUndefined && name != "previtem" && name != "nextitem" ? nil : found
        case .range(let range):
            return ["start": .integer(range.start), "stop": .integer(range.stop), "step": .integer(range.step)][name]
        case .macro(let macro): return name == "name" ? .text(macro.definition.name) : nil
        default: return nil
        }
        if case .string = value, Self.otherTextMethods.contains(name) {
            throw Fault(.unsupported, "the string method '\(name)' is not supported")
        }
        if methods.contains(name) { return .method(MethodValue(name, of: value)) }
        guard changing.contains(name) else { return nil }
        return .undefined(.because("access to attribute '\(name)' of '\(value.typeName)' object is unsafe."))
    }

    // MARK: Slices

    /// - Parameter bounds: first, end and step, each an integer or none.
    func slice(_ value: Value, _ bounds: [Value]) throws(Fault) -> Value {
        if case .undefined(let undefined) = value { throw .failed(undefined.message) }
        let count: Int
        switch value {
        case .string, .list, .tuple, .range: count = value.length ?? 0
        default: throw .failed("'\(value.typeName)' object cannot be sliced")
        }
        var numbers: [Int?] = []
        for bound in bounds {
            if case .null = bound {
                numbers.append(nil)
            } else {
                numbers.append(try bound.requireInteger("a bound of a slice"))
            }
        }
        guard numbers[2] != 0 else { throw .failed("slice step cannot be zero") }
        let places = Self.places(numbers[0], numbers[1], numbers[2] ?? 1, in: count)
        try allowance.step(places.count / 8)
        switch value {
        case .list(let list): return try .list(of: places.map { list.items[$0] }, allowance)
        case .tuple(let list): return try .tuple(of: places.map { list.items[$0] }, allowance)
        case .string(let text):
            try allowance.make(bytes: text.bytes.count)
            if numbers[2] ?? 1 == 1 {
                guard let first = places.first else { return .text("") }
                return .string(text.slice(first..<first + places.count))
            }
            try allowance.make(elements: count)
            let scalars = Array(text.scalars)
            return .string(Text(places.map { scalars[$0] }))
        case .range(let range):
            let start = places.first.map { range[$0] } ?? range.start
            let step = range.step.multipliedReportingOverflow(by: numbers[2] ?? 1).partialValue
            return .range(RangeValue(start: start, stop: start &+ step &* places.count, step: step, count: places.count))
        default: return .null
        }
    }

    /// Python's reading of slice bounds.
    private static func places(_ from: Int?, _ to: Int?, _ step: Int, in count: Int) -> [Int] {
        let least = step > 0 ? 0 : -1, greatest = step > 0 ? count : count - 1
        func bound(_ index: Int?, _ fallback: Int) -> Int {
            guard let index else { return fallback }
            return min(max(index < 0 ? index + count : index, least), greatest)
        }
        let start = bound(from, step > 0 ? least : greatest), end = bound(to, step > 0 ? greatest : least)
        // A longer step reaches no further.
        return Array(stride(from: start, to: end, by: min(max(step, -count - 1), count + 1)))
    }
}
