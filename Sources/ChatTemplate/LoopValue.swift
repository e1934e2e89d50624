/// The variable `loop` of a body that speaks of it.
final class LoopValue: Changeable {
    private var iterator: IteratorValue?
    private var knownLength: Int?
    private(set) var index0 = -1
    private var before: Value?
    private var current: Value?
    /// The next element, once somebody has looked ahead.
    private var after: Value?
    private var lastChanged: [Value]?

    init(over iterator: IteratorValue, length: Int?) {
        self.iterator = iterator
        knownLength = length
    }

    func clear() {
        iterator = nil
        before = nil
        current = nil
        after = nil
        lastChanged = nil
    }

    func next() throws(Fault) -> Value? {
        let element: Value
        if let peeked = after {
            element = peeked
            after = nil
        } else {
            guard let taken = try iterator?.next() else { return nil }
            element = taken
        }
        index0 += 1
        before = current
        current = element
        return element
    }

    private func peek() throws(Fault) -> Value? {
        if after == nil { after = try iterator?.next() }
        return after
    }

    /// Of a generator it is known only after all elements have been made.
    func length() throws(Fault) -> Int {
        if let knownLength { return knownLength }
        var rest: [Value] = []
        while let element = try iterator?.next() { rest.append(element) }
        let length = rest.count + index0 + 1 + (after == nil ? 0 : 1)
        var index = 0
        iterator = IteratorValue(depth: iterator?.depth ?? 0) { () throws(Fault) in
            guard index < rest.count else { return nil }
            index += 1
            return rest[index - 1]
        }
        knownLength = length
        return length
    }

    func attribute(_ name: String) throws(Fault) -> Value {
        switch name {
        case "index": .integer(index0 + 1)
        case "index0": .integer(index0)
        case "revindex": .integer(try length() - index0)
        case "revindex0": .integer(try length() - index0 - 1)
        case "first": .boolean(index0 == 0)
        case "last": .boolean(try peek() == nil)
        case "length": .integer(try length())
        case "depth": .integer(1)
        case "depth0": .integer(0)
        case "previtem": index0 == 0 ? .undefined(.because("there is no previous item")) : before ?? .undefined(.because("there is no previous item"))
        case "nextitem": try peek() ?? .undefined(.because("there is no next item"))
        case "cycle", "changed": .method(MethodValue(name, of: .loop(self)))
        default: .undefined(.attribute(name, ofType: "LoopContext object"))
        }
    }

    func call(_ name: String, _ arguments: [Value], _ allowance: Allowance) throws(Fault) -> Value {
        if name == "cycle" {
            guard !arguments.isEmpty else { throw .failed("no items for cycling given") }
            return arguments[max(index0, 0) % arguments.count]
        }
        if let last = lastChanged, last.count == arguments.count {
            var isSame = true
            for index in last.indices where isSame { isSame = try last[index].isEqual(to: arguments[index], allowance) }
            if isSame { return .boolean(false) }
        }
        lastChanged = arguments
        return .boolean(true)
    }
}
