/// Functions that every template can call, and methods of containers.
extension Renderer {
    /// As many as Jinja's sandbox allows.
    private static let longestRange = 100_000

    func call(_ function: GlobalFunction, _ arguments: CallArguments) throws(Fault) -> Value {
        switch function {
        case .range: return .range(try range(arguments.bound("range", ["start", "stop", "step"], required: 1)))
        case .dict: return .dictionary(try makeDictionary(arguments))
        case .namespace:
            let members = try makeDictionary(arguments)
            let namespace = NamespaceValue()
            keep(namespace)
            for (key, value) in zip(members.keys, members.values) {
                let name = try key.requireText("an attribute's name").string
                try Self.checkAttribute(name)
                namespace[name] = value
            }
            return .namespace(namespace)
        case .raiseException:
            let message = try arguments.bound(function.rawValue, ["message"], required: 1)[0] ?? .null
            throw Fault(.raised, try message.printed(allowance).string)
        case .strftimeNow:
            let format = try (arguments.bound(function.rawValue, ["format"], required: 1)[0] ?? .null).requireText("a date format")
            guard let date else { throw .failed("the template shows the date, and none was given") }
            try allowance.make(bytes: 8 * format.bytes.count)
            return .string(try date.formatted(format))
        }
    }

    private func range(_ arguments: [Value?]) throws(Fault) -> RangeValue {
        var numbers: [Int] = []
        for argument in arguments { if let argument { numbers.append(try argument.requireInteger("an argument of range")) } }
        let start = numbers.count > 1 ? numbers[0] : 0, stop = numbers.count > 1 ? numbers[1] : numbers[0]
        let step = numbers.count > 2 ? numbers[2] : 1
        guard step != 0 else { throw .failed("range() arg 3 must not be zero") }
        var count = 0
        if step > 0 ? start < stop : start > stop {
            // The distance may not fit in an Int, but always in a UInt.
            let distance = UInt(bitPattern: step > 0 ? stop &- start : start &- stop)
            let quotient = (distance - 1) / step.magnitude
            guard quotient < UInt(Self.longestRange) else { throw .failed("range of more than \(Self.longestRange) numbers") }
            count = Int(quotient) + 1
        }
        return RangeValue(start: start, stop: stop, step: step, count: count)
    }

    private func makeDictionary(_ arguments: CallArguments) throws(Fault) -> DictionaryValue {
        guard arguments.positional.count <= 1 else {
            throw .failed("dict expected at most 1 argument, got \(arguments.positional.count)")
        }
        var builder = DictionaryBuilder(allowance)
        if case .dictionary(let dictionary)? = arguments.positional.first {
            for (key, value) in zip(dictionary.keys, dictionary.values) { try builder.set(key, value) }
        } else if let pairs = arguments.positional.first {
            for pair in try pairs.array(allowance) {
                let pair = try pair.array(allowance)
                guard pair.count == 2 else { throw .failed("dictionary update sequence element has length \(pair.count); 2 is required") }
                try builder.set(pair[0], pair[1])
            }
        }
        for (name, value) in arguments.keywords { try builder.set(.text(name), value) }
        return try builder.build()
    }

    // MARK: Methods

    func call(_ method: MethodValue, _ arguments: CallArguments) throws(Fault) -> Value {
        switch method.receiver {
        case .string(let text): return try call(textMethod: method.name, of: text, arguments)
        case .dictionary(let dictionary): return try call(method.name, of: dictionary, arguments)
        case .list(let list): return try call(method.name, of: list, isTuple: false, arguments)
        case .tuple(let list): return try call(method.name, of: list, isTuple: true, arguments)
        case .loop(let loop): return try loop.call(method.name, arguments.positional, allowance)
        case .function:
            let values = try arguments.bound("fromkeys", ["iterable", "value"], required: 1)
            var builder = DictionaryBuilder(allowance)
            for key in try (values[0] ?? .null).array(allowance) { try builder.set(key, values[1] ?? .null) }
            return .dictionary(try builder.build())
        default: throw .failed("'\(method.receiver.typeName)' object has no method '\(method.name)'")
        }
    }

    private func call(_ name: String, of dictionary: DictionaryValue, _ arguments: CallArguments) throws(Fault) -> Value {
        if name == "get" {
            guard arguments.keywords.isEmpty else { throw .failed("dict.get() takes no keyword arguments") }
            let values = try arguments.bound("get", ["key", "default"], required: 1)
            return try dictionary.member(values[0] ?? .null, allowance) ?? values[1] ?? .null
        }
        _ = try arguments.bound(name, [])
        switch name {
        case "keys": return .view(DictionaryView(kind: .keys, dictionary: dictionary))
        case "values": return .view(DictionaryView(kind: .values, dictionary: dictionary))
        case "items": return .view(DictionaryView(kind: .items, dictionary: dictionary))
        // Nothing can change a dictionary here.
        default: return .dictionary(dictionary)
        }
    }

    private func call(_ name: String, of list: ListValue, isTuple: Bool, _ arguments: CallArguments) throws(Fault) -> Value {
        switch name {
        case "copy":
            _ = try arguments.bound(name, [])
            return .list(list)
        case "count":
            let wanted = try arguments.bound(name, ["value"], required: 1)[0] ?? .null
            var count = 0
            for item in list.items where try item.isEqual(to: wanted, allowance) { count += 1 }
            return .integer(count)
        default:
            let wanted = try arguments.bound(name, ["value"], required: 1)[0] ?? .null
            for (index, item) in list.items.enumerated() where try item.isEqual(to: wanted, allowance) { return .integer(index) }
            throw .failed("the \(isTuple ? "tuple" : "list") does not contain the value that index() looks for")
        }
    }
}
