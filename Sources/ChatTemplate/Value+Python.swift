/// What Python does with values of any type.
extension Value {
    /// Python's name of the type.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .null: "NoneType"
        case .boolean: "bool"
        case .integer, .wideInteger: "int"
        case .float: "float"
        case .string: "str"
        case .list: "list"
        case .tuple: "tuple"
        case .dictionary: "dict"
        case .view(let view): view.kind.rawValue
        case .range: "range"
        case .iterator: "generator"
        case .namespace: "namespace"
        case .loop: "LoopContext"
        case .macro: "Macro"
        case .method, .function: "function"
        }
    }

    var isUndefined: Bool { if case .undefined = self { true } else { false } }

    var isTrue: Bool {
        switch self {
        case .undefined, .null: false
        case .boolean(let value): value
        case .integer(let value): value != 0
        case .float(let value): value != 0
        case .string(let text): !text.isEmpty
        case .list(let list), .tuple(let list): !list.items.isEmpty
        case .dictionary(let dictionary): !dictionary.keys.isEmpty
        case .view(let view): !view.dictionary.keys.isEmpty
        case .range(let range): range.count > 0
        case .wideInteger, .iterator, .namespace, .loop, .macro, .method, .function: true
        }
    }

    func checkHashable() throws(Fault) {
        switch self {
        case .list, .dictionary, .view: throw .failed("unhashable type: '\(typeName)'")
        case .tuple(let list): for item in list.items { try item.checkHashable() }
        default: break
        }
    }

    /// The integer that a boolean or integer is.
    var asInteger: Int? {
        switch self {
        case .boolean(let value): value ? 1 : 0
        case .integer(let value): value
        default: nil
        }
    }

    /// The number that a boolean, integer or float is.
    var asDouble: Double? {
        switch self {
        case .float(let value): value
        case .wideInteger(let digits): Double(digits.string)
        default: asInteger.map(Double.init)
        }
    }

    /// An argument that has to be an integer.
    func requireInteger(_ what: String) throws(Fault) -> Int {
        if case .undefined(let undefined) = self { throw .failed(undefined.message) }
        guard let value = asInteger else { throw .failed("\(what) must be an integer, not '\(typeName)'") }
        return value
    }

    func requireText(_ what: String) throws(Fault) -> Text {
        guard case .string(let text) = self else { throw .failed("\(what) must be a string, not '\(typeName)'") }
        return text
    }

    // MARK: Comparing

    func isEqual(to other: Value, _ allowance: Allowance) throws(Fault) -> Bool {
        try allowance.step()
        switch (self, other) {
        case (.undefined, .undefined), (.null, .null): return true
        case (.string(let left), .string(let right)):
            try allowance.step(min(left.bytes.count, right.bytes.count) / 64)
            return left == right
        case (.wideInteger(let left), .wideInteger(let right)): return left == right
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            if left === right { return true }
            guard left.items.count == right.items.count else { return false }
            for index in left.items.indices where try !left.items[index].isEqual(to: right.items[index], allowance) { return false }
            return true
        case (.dictionary(let left), .dictionary(let right)):
            if left === right { return true }
            guard left.keys.count == right.keys.count else { return false }
            for index in left.keys.indices {
                guard let value = try right.member(left.keys[index], allowance),
                    try left.values[index].isEqual(to: value, allowance)
                else { return false }
            }
            return true
        case (.range(let left), .range(let right)):
            guard left.count == right.count else { return false }
            return left.count == 0 || (left.start == right.start && (left.count == 1 || left.step == right.step))
        case (.iterator(let left), .iterator(let right)): return left === right
        case (.namespace(let left), .namespace(let right)): return left === right
        case (.loop(let left), .loop(let right)): return left === right
        case (.macro(let left), .macro(let right)): return left === right
        default:
            if let left = asInteger, let right = other.asInteger { return left == right }
            if let left = asDouble, let right = other.asDouble { return left == right }
            return false
        }
    }

    /// Whether `self` comes before `other`.
    /// - Throws: for types that Python does not order, naming `operation`.
    func isLess(than other: Value, _ operation: String, _ allowance: Allowance) throws(Fault) -> Bool {
        try allowance.step()
        switch (self, other) {
        case (.undefined(let undefined), _), (_, .undefined(let undefined)): throw .failed(undefined.message)
        case (.string(let left), .string(let right)):
            try allowance.step(min(left.bytes.count, right.bytes.count) / 64)
            return left < right
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            for (first, second) in zip(left.items, right.items) where try !first.isEqual(to: second, allowance) {
                return try first.isLess(than: second, operation, allowance)
            }
            return left.items.count < right.items.count
        default:
            if let left = asInteger, let right = other.asInteger { return left < right }
            if let left = asDouble, let right = other.asDouble { return left < right }
            throw .failed("'\(operation)' not supported between instances of '\(typeName)' and '\(other.typeName)'")
        }
    }

    /// `needle in self`.
    func contains(_ needle: Value, _ allowance: Allowance) throws(Fault) -> Bool {
        switch self {
        case .string(let text):
            guard case .string(let part) = needle else {
                throw .failed("'in <string>' requires string as left operand, not \(needle.typeName)")
            }
            try allowance.step((text.bytes.count + part.bytes.count) / 64)
            return text.contains(part)
        case .dictionary(let dictionary): return try dictionary.member(needle, allowance) != nil
        case .view(let view) where view.kind == .keys: return try view.dictionary.member(needle, allowance) != nil
        case .range(let range):
            guard let value = needle.asDouble, let whole = Int(exactly: value) else { return false }
            let (distance, overflow) = whole.subtractingReportingOverflow(range.start)
            guard !overflow, range.count > 0, distance % range.step == 0 else { return false }
            return (0..<range.count).contains(distance / range.step)
        default:
            let iterator = try elements(allowance)
            while let element = try iterator.next() { if try element.isEqual(to: needle, allowance) { return true } }
            return false
        }
    }

    // MARK: Iterating

    /// The elements one after another, as `for` meets them.
    func elements(_ allowance: Allowance) throws(Fault) -> IteratorValue {
        if case .iterator(let iterator) = self { return iterator }
        let depth = min(self.depth, TemplateLimits.valueDepth)
        var index = 0
        switch self {
        case .list(let list), .tuple(let list):
            return IteratorValue(depth: depth) { () throws(Fault) in
                guard index < list.items.count else { return nil }
                try allowance.step()
                index += 1
                return list.items[index - 1]
            }
        case .dictionary(let dictionary):
            return try Value.view(DictionaryView(kind: .keys, dictionary: dictionary)).elements(allowance)
        case .view(let view):
            return IteratorValue(depth: depth) { () throws(Fault) in
                guard index < view.dictionary.keys.count else { return nil }
                try allowance.step()
                index += 1
                return try view.element(at: index - 1, allowance)
            }
        case .string(let text):
            return IteratorValue(depth: 0) { () throws(Fault) in
                guard index < text.bytes.count else { return nil }
                try allowance.step()
                let scalar = text.scalarText(at: index)
                index += scalar.bytes.count
                return .string(scalar)
            }
        case .range(let range):
            return IteratorValue(depth: 0) { () throws(Fault) in
                guard index < range.count else { return nil }
                try allowance.step()
                index += 1
                return .integer(range[index - 1])
            }
        case .undefined: return IteratorValue(depth: 0) { () throws(Fault) in nil }
        default: throw .failed("'\(typeName)' object is not iterable")
        }
    }

    func array(_ allowance: Allowance) throws(Fault) -> [Value] {
        if case .list(let list) = self { return list.items }
        if case .tuple(let list) = self { return list.items }
        let iterator = try elements(allowance)
        var array: [Value] = []
        while let element = try iterator.next() {
            try allowance.make(elements: 1)
            array.append(element)
        }
        return array
    }

    /// Python's `len`, or `nil` for what has none.
    var length: Int? {
        switch self {
        case .undefined: 0
        case .string(let text): text.count
        case .list(let list), .tuple(let list): list.items.count
        case .dictionary(let dictionary): dictionary.keys.count
        case .view(let view): view.dictionary.keys.count
        case .range(let range): range.count
        default: nil
        }
    }
}

extension DictionaryValue {
    func member(_ key: Value, _ allowance: Allowance) throws(Fault) -> Value? {
        try allowance.step()
        try key.checkHashable()
        if case .string(let name) = key { return value(for: name) }
        for (index, other) in keys.enumerated() where try other.isEqual(to: key, allowance) { return values[index] }
        return nil
    }
}

extension DictionaryView {
    func element(at index: Int, _ allowance: Allowance) throws(Fault) -> Value {
        switch kind {
        case .keys: dictionary.keys[index]
        case .values: dictionary.values[index]
        case .items: try .tuple(of: [dictionary.keys[index], dictionary.values[index]], allowance)
        }
    }
}
