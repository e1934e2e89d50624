/// A value while a template runs, with Python's types.
enum Value {
    case undefined(Undefined)
    case null
    case boolean(Bool)
    case integer(Int)
    /// The digits of an integer that 64 bits do not hold. It can be printed and compared, and nothing else.
    case wideInteger(Text)
    case float(Double)
    case string(Text)
    case list(ListValue)
    case tuple(ListValue)
    case dictionary(DictionaryValue)
    case view(DictionaryView)
    case range(RangeValue)
    /// What Python calls a generator: elements are made when asked for, once.
    case iterator(IteratorValue)
    case namespace(NamespaceValue)
    case loop(LoopValue)
    case macro(MacroValue)
    case method(MethodValue)
    case function(GlobalFunction)
}

/// Where an undefined value came from, for the error that any use of it but printing and testing is.
enum Undefined {
    case variable(String)
    case attribute(String, ofType: String)
    case element(String, ofType: String)
    case because(String)

    var message: String {
        switch self {
        case .variable(let name): "'\(name)' is undefined"
        case .attribute(let name, let type): "'\(type)' has no attribute '\(name)'"
        case .element(let key, let type): "\(type) has no element \(key)"
        case .because(let reason): reason
        }
    }
}

/// Functions that every template can call.
enum GlobalFunction: String, CaseIterable {
    case range, dict, namespace
    case raiseException = "raise_exception"
    case strftimeNow = "strftime_now"
}

/// Elements, and how deep they are nested.
final class ListValue {
    let items: [Value]
    let depth: Int

    fileprivate init(items: [Value], depth: Int) {
        self.items = items
        self.depth = depth
    }
}

/// Members in the order in which their keys came.
final class DictionaryValue {
    let keys: [Value]
    let values: [Value]
    let depth: Int
    /// Places of keys that are texts, where there are many.
    private let places: [Text: Int]

    fileprivate init(keys: [Value], values: [Value], depth: Int) {
        self.keys = keys
        self.values = values
        self.depth = depth
        var places: [Text: Int] = [:]
        if keys.count > 8 {
            for (index, key) in keys.enumerated() { if case .string(let text) = key { places[text] = index } }
        }
        self.places = places
    }

    func value(for name: Text) -> Value? {
        if !places.isEmpty { return places[name].map { values[$0] } }
        for (index, key) in keys.enumerated() {
            if case .string(let text) = key, text == name { return values[index] }
        }
        return nil
    }
}

struct DictionaryView {
    enum Kind: String { case keys = "dict_keys", values = "dict_values", items = "dict_items" }

    let kind: Kind
    let dictionary: DictionaryValue
}

struct RangeValue {
    let start: Int, stop: Int, step: Int
    let count: Int

    subscript(index: Int) -> Int { start + index * step }
}

final class IteratorValue {
    private var produce: () throws(Fault) -> Value?
    let depth: Int
    private var isFinished = false

    init(depth: Int, _ produce: @escaping () throws(Fault) -> Value?) {
        self.depth = depth
        self.produce = produce
    }

    func next() throws(Fault) -> Value? {
        guard !isFinished else { return nil }
        if let value = try produce() { return value }
        isFinished = true
        return nil
    }
}

/// What holds other values and can change, and so can come to hold itself. The rendering keeps a list of these and empties them
/// at its end.
protocol Changeable: AnyObject {
    func clear()
}

final class NamespaceValue: Changeable {
    var values: [(name: String, value: Value)] = []

    func clear() { values = [] }

    subscript(name: String) -> Value? {
        get { values.first { $0.name == name }?.value }
        set {
            guard let newValue else { return }
            if let index = values.firstIndex(where: { $0.name == name }) {
                values[index].value = newValue
            } else {
                values.append((name, newValue))
            }
        }
    }
}

/// Variables of a body. Those outside of it are read through it and never written.
final class Scope: Changeable {
    var values: [String: Value] = [:]
    let parent: Scope?

    init(in parent: Scope?) { self.parent = parent }

    func clear() { values = [:] }

    func value(of name: String) -> Value? {
        var scope: Scope? = self
        while let current = scope {
            if let value = current.values[name] { return value }
            scope = current.parent
        }
        return nil
    }
}

final class MacroValue {
    let definition: MacroDefinition
    let scope: Scope

    init(_ definition: MacroDefinition, in scope: Scope) {
        self.definition = definition
        self.scope = scope
    }
}

final class MethodValue {
    let receiver: Value
    let name: String

    init(_ name: String, of receiver: Value) {
        self.receiver = receiver
        self.name = name
    }
}

/// Evaluated arguments of a call, filter or test.
struct CallArguments {
    var positional: [Value] = []
    var keywords: [(name: String, value: Value)] = []

    /// The arguments by parameter, as Python binds them; `nil` for those not given.
    func bound(_ function: String, _ parameters: [String], required: Int = 0) throws(Fault) -> [Value?] {
        guard positional.count <= parameters.count else {
            throw .failed("\(function) takes at most \(parameters.count) arguments, but was given \(positional.count)")
        }
        var values = positional.map(Optional.some) + Array(repeating: nil, count: parameters.count - positional.count)
        for (name, value) in keywords {
            guard let index = parameters.firstIndex(of: name) else {
                throw .failed("\(function) got an unexpected argument '\(name)'")
            }
            guard values[index] == nil else { throw .failed("\(function) got two values for '\(name)'") }
            values[index] = value
        }
        for index in 0..<required where values[index] == nil {
            throw .failed("\(function) is missing the argument '\(parameters[index])'")
        }
        return values
    }
}

// MARK: Making containers

extension Value {
    /// Containers on the longest way down. What can change counts as none: it is freed one by one.
    var depth: Int {
        switch self {
        case .list(let list), .tuple(let list): list.depth
        case .dictionary(let dictionary): dictionary.depth
        case .view(let view): view.dictionary.depth + 1
        case .iterator(let iterator): iterator.depth
        case .method(let method): method.receiver.depth + 1
        default: 0
        }
    }

    /// One more than the depth of the deepest of `values`.
    static func depth(over values: [Value]) throws(Fault) -> Int {
        var depth = 1
        for value in values { depth = max(depth, value.depth + 1) }
        guard depth <= TemplateLimits.valueDepth else {
            throw Fault(.limit, "a value nested more than \(TemplateLimits.valueDepth) levels deep")
        }
        return depth
    }

    static func list(of items: [Value], _ allowance: Allowance) throws(Fault) -> Value {
        try allowance.make(elements: items.count)
        return .list(ListValue(items: items, depth: try depth(over: items)))
    }

    static func tuple(of items: [Value], _ allowance: Allowance) throws(Fault) -> Value {
        try allowance.make(elements: items.count)
        return .tuple(ListValue(items: items, depth: try depth(over: items)))
    }

    static func text(_ string: String) -> Value { .string(Text(string)) }
}

/// Puts members together; a later one with an equal key replaces the value and keeps the place.
struct DictionaryBuilder {
    private var keys: [Value] = []
    private var values: [Value] = []
    private var places: [Text: Int] = [:]
    private let allowance: Allowance

    init(_ allowance: Allowance) { self.allowance = allowance }

    mutating func set(_ key: Value, _ value: Value) throws(Fault) {
        try allowance.step()
        try key.checkHashable()
        if case .string(let text) = key {
            if let place = places[text] {
                values[place] = value
                return
            }
            places[text] = keys.count
        } else {
            for (place, other) in keys.enumerated() where try other.isEqual(to: key, allowance) {
                values[place] = value
                return
            }
        }
        keys.append(key)
        values.append(value)
    }

    func build() throws(Fault) -> DictionaryValue {
        try allowance.make(elements: 2 * keys.count)
        return DictionaryValue(keys: keys, values: values, depth: max(try Value.depth(over: keys), try Value.depth(over: values)))
    }
}
