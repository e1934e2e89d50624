import JSONReader

/// The kinds of JSON values, with numbers cut in two: `number` in a schema is both.
struct ValueKinds: OptionSet, Sendable, Hashable {
    var rawValue: UInt8
    static let null = ValueKinds(rawValue: 1), boolean = ValueKinds(rawValue: 2), integer = ValueKinds(rawValue: 4)
    static let fraction = ValueKinds(rawValue: 8), string = ValueKinds(rawValue: 16), array = ValueKinds(rawValue: 32)
    static let object = ValueKinds(rawValue: 64)
    static let number: ValueKinds = [.integer, .fraction]
    static let all: ValueKinds = [.null, .boolean, .number, .string, .array, .object]

    init(rawValue: UInt8) { self.rawValue = rawValue }

    init?(named name: String) {
        switch name {
        case "null": self = .null
        case "boolean": self = .boolean
        case "integer": self = .integer
        case "number": self = .number
        case "string": self = .string
        case "array": self = .array
        case "object": self = .object
        default: return nil
        }
    }
}

/// What each keyword is to the compiler. Everything that says something about values is enforced or refused.
enum SchemaKeyword {
    case annotation
    /// Leads to other schemas for the same value.
    case applicator
    case type
    case values
    /// Says something about one kind of values only.
    case assertion(ValueKinds)
    case refused(String)

    init(_ name: String) {
        switch name {
        case "title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "$comment", "$schema",
            "$defs", "definitions", "discriminator", "externalDocs", "xml", "contentMediaType", "contentEncoding", "contentSchema",
            "$anchor":
            self = .annotation
        case "$ref", "allOf", "anyOf", "oneOf": self = .applicator
        case "type", "nullable": self = .type
        case "enum", "const": self = .values
        case "properties", "patternProperties", "additionalProperties", "required", "minProperties", "maxProperties": self = .assertion(.object)
        case "items", "prefixItems", "additionalItems", "minItems", "maxItems": self = .assertion(.array)
        case "uniqueItems": self = .assertion(.array)
        case "minLength", "maxLength", "pattern": self = .assertion(.string)
        case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum": self = .assertion(.number)
        // Of strings or of numbers, by its value.
        case "format": self = .assertion([])
        case "multipleOf", "not", "if", "then", "else", "contains", "minContains", "maxContains", "propertyNames", "dependentRequired",
            "dependentSchemas", "dependencies", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef",
            "$dynamicAnchor", "$recursiveAnchor", "$vocabulary":
            self = .refused("cannot be enforced while an answer is written")
        default: self = name.hasPrefix("x-") ? .annotation : .refused("is not a known keyword")
        }
    }
}

extension SchemaDocument {
    /// Refuses keywords that cannot be enforced.
    func check(_ node: Node) throws(GrammarError) {
        guard let object = values[node].object else { return }
        for (key, value) in object {
            let name = key.text ?? ""
            if name == "$id" || name == "id" {
                guard node == 0 else { throw error(node, name, "only the root may have an id") }
                continue
            }
            if case .refused(let reason) = SchemaKeyword(name) { throw error(node, name, "\(JSONValue.quoted(name)) \(reason)") }
            if name == "uniqueItems", value.boolean != false {
                throw error(node, name, "that items differ cannot be enforced while an answer is written")
            }
        }
    }

    /// What kinds of values the schema itself allows, not counting what `$ref`, `allOf`, `anyOf` and `oneOf` say. Without `type`, other
    /// keywords say what is meant: where there are `properties`, an object.
    func kinds(_ node: Node) throws(GrammarError) -> ValueKinds {
        guard let object = values[node].object else { return .all }
        var kinds: ValueKinds
        if let type = object["type"] {
            kinds = []
            for name in type.array.map(Array.init) ?? [type] {
                guard let named = name.text.flatMap(ValueKinds.init(named:)) else { throw error(node, "type", "unknown type \(name.shown)") }
                kinds.formUnion(named)
            }
            if object["nullable"]?.boolean == true { kinds.insert(.null) }
            return kinds
        }
        kinds = []
        for (key, value) in object {
            let name = key.text ?? ""
            if case .values = SchemaKeyword(name) { return .all }
            if case .assertion(let implied) = SchemaKeyword(name) { kinds.formUnion(implied) }
            if name == "format", let format = value.text { kinds.formUnion(SchemaFormat.isNumeric(format) ? .number : .string) }
        }
        if kinds.isEmpty { return .all }
        return object["nullable"]?.boolean == true ? kinds.union(.null) : kinds
    }

    /// Whether the schema itself says anything about a value.
    func saysSomething(_ node: Node) -> Bool {
        guard let object = values[node].object else { return false }
        return object.contains { key, _ in
            switch SchemaKeyword(key.text ?? "") {
            case .type, .values, .assertion: true
            default: false
            }
        }
    }

    /// The first keyword of the schema that says something about a value beside its type and a list of values.
    func firstAssertion(_ node: Node) -> String? {
        guard let object = values[node].object else { return nil }
        for (key, _) in object {
            if case .assertion = SchemaKeyword(key.text ?? "") { return key.text }
        }
        return nil
    }
}
