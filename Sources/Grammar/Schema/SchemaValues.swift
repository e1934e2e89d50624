import JSONReader

/// `enum` and `const`: values as they stand in the schema.
enum SchemaValues {
    typealias Value = JSONValue

    /// The values that `enum` and `const` of all the schemas leave, those of wrong types left out; `nil` if none has either.
    static func allowed(by nodes: [SchemaDocument.Node], _ document: SchemaDocument) throws(GrammarError) -> [Value]? {
        var allowed: [Value]?
        for node in nodes {
            var lists: [[Value]] = document.value("const", of: node).map { [[$0]] } ?? []
            if let list = document.value("enum", of: node) {
                guard let array = list.array else { throw document.error(node, "enum", "expected an array, found \(list.shown)") }
                lists.append(Array(array))
            }
            for list in lists {
                allowed = allowed?.filter { value in list.contains { areEqual(value, $0) } } ?? list
            }
        }
        guard let found = allowed else { return nil }
        var kinds = ValueKinds.all
        for node in nodes { kinds.formIntersection(try document.kinds(node)) }
        return found.filter { !kinds.isDisjoint(with: kind(of: $0)) }
    }

    static func kind(of value: Value) -> ValueKinds {
        switch value.kind {
        case .null: .null
        case .true, .false: .boolean
        case .string: .string
        case .array: .array
        case .object: .object
        case .number: value.digits.flatMap { Decimal(Array($0)) }?.isInteger == true ? .integer : .fraction
        }
    }

    /// Equal as JSON: numbers by value, objects in any order.
    static func areEqual(_ a: Value, _ b: Value) -> Bool {
        guard a.kind == b.kind, a.count == b.count else { return false }
        switch a.kind {
        case .null, .true, .false: return true
        case .string: return a.utf8.map(Array.init) == b.utf8.map(Array.init)
        case .number:
            guard let first = a.digits.map(Array.init), let second = b.digits.map(Array.init) else { return false }
            if let first = Decimal(first), let second = Decimal(second) { return first == second }
            return first == second
        case .array:
            guard let first = a.array, let second = b.array else { return false }
            return zip(first, second).allSatisfy { areEqual($0, $1) }
        case .object:
            guard let first = a.object, let second = b.object else { return false }
            return first.allSatisfy { key, value in second[key.text ?? ""].map { areEqual(value, $0) } ?? false }
        }
    }

    /// The value as it may be written.
    /// - Parameter space: what may stand between the parts of arrays and objects.
    static func expression(of value: Value, space: Expression) -> Expression {
        switch value.kind {
        case .null: .text("null")
        case .true: .text("true")
        case .false: .text("false")
        case .number: .bytes(value.digits.map(Array.init) ?? [])
        case .string: .bytes(JSONText.string(value.text ?? ""))
        case .array: list("[", value.array.map { $0.map { expression(of: $0, space: space) } } ?? [], "]", space)
        case .object:
            list("{", value.object.map { members in
                members.map { key, value in
                    .sequence([
                        .bytes(JSONText.string(key.text ?? "") + Array(":".utf8)), .optional(.text(" ")), expression(of: value, space: space),
                    ])
                }
            } ?? [], "}", space)
        }
    }

    private static func list(_ open: String, _ parts: [Expression], _ close: String, _ space: Expression) -> Expression {
        var sequence: [Expression] = [.text(open), space]
        for (index, part) in parts.enumerated() { sequence += index == 0 ? [part] : [.text(","), space, part] }
        if !parts.isEmpty { sequence.append(space) }
        return .sequence(sequence + [.text(close)])
    }
}
