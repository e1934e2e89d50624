import JSONReader

/// The schemas of a document by number, each with its JSON pointer (RFC 6901) for errors.
struct SchemaDocument {
    typealias Node = Int

    private(set) var values: [JSONValue] = []
    private(set) var pointers: [String] = []
    private var numbers: [String: Node] = [:]
    private let limits: GrammarLimits

    init(_ source: String, limits: GrammarLimits) throws(GrammarError) {
        self.limits = limits
        guard source.utf8.count <= limits.sourceBytes else { throw .tooComplex(.sourceBytes) }
        let document: JSONDocument
        do {
            document = try JSONDocument(file: "schema", source: Array(source.utf8))
        } catch {
            throw .malformedSchema(error)
        }
        _ = try node(document.root, at: "")
    }

    /// The number of a schema, which must be an object or a boolean.
    mutating func node(_ value: JSONValue, at pointer: String) throws(GrammarError) -> Node {
        if let known = numbers[pointer] { return known }
        guard value.kind == .object || value.boolean != nil else {
            throw .schema(pointer: pointer, "expected a schema, found \(value.shown)")
        }
        guard values.count < limits.rules else { throw .tooComplex(.rules) }
        values.append(value)
        pointers.append(pointer)
        numbers[pointer] = values.count - 1
        return values.count - 1
    }

    /// The schema that stands as member `name` in that of `node`.
    mutating func child(_ name: String, of node: Node) throws(GrammarError) -> Node? {
        guard let value = values[node].object?[name] else { return nil }
        return try self.node(value, at: pointer(node, name))
    }

    /// The schemas in the array `name`.
    mutating func children(_ name: String, of node: Node) throws(GrammarError) -> [Node]? {
        guard let value = values[node].object?[name] else { return nil }
        guard let array = value.array else { throw error(node, name, "expected an array of schemas, found \(value.shown)") }
        var found: [Node] = []
        for (index, element) in array.enumerated() { found.append(try self.node(element, at: pointer(node, name, "\(index)"))) }
        return found
    }

    /// The schemas in the object `name`, in the order of the text.
    mutating func members(_ name: String, of node: Node) throws(GrammarError) -> [(name: String, node: Node)] {
        guard let value = values[node].object?[name] else { return [] }
        guard let object = value.object else { throw error(node, name, "expected an object of schemas, found \(value.shown)") }
        var found: [(name: String, node: Node)] = []
        for (key, element) in object {
            let key = key.text ?? ""
            found.append((key, try self.node(element, at: pointer(node, name, key))))
        }
        return found
    }

    func pointer(_ node: Node, _ steps: String...) -> String {
        steps.reduce(pointers[node]) { $0 + "/" + $1.replacing("~", with: "~0").replacing("/", with: "~1") }
    }

    func error(_ node: Node, _ keyword: String, _ problem: String) -> GrammarError {
        .schema(pointer: pointer(node, keyword), problem)
    }

    // MARK: Values of keywords

    func value(_ name: String, of node: Node) -> JSONValue? { values[node].object?[name] }

    /// A whole number from 0 on.
    func count(_ name: String, of node: Node) throws(GrammarError) -> Int? {
        guard let value = value(name, of: node) else { return nil }
        guard let count = value.integer ?? value.number.flatMap({ Int(exactly: $0) }), count >= 0 else {
            throw error(node, name, "expected a whole number from 0 on, found \(value.shown)")
        }
        return count
    }

    func text(_ name: String, of node: Node) throws(GrammarError) -> String? {
        guard let value = value(name, of: node) else { return nil }
        guard let text = value.text else { throw error(node, name, "expected a string, found \(value.shown)") }
        return text
    }

    func texts(_ name: String, of node: Node) throws(GrammarError) -> [String] {
        guard let value = value(name, of: node) else { return [] }
        guard let array = value.array else { throw error(node, name, "expected an array of strings, found \(value.shown)") }
        var texts: [String] = []
        for element in array {
            guard let text = element.text else { throw error(node, name, "expected strings, found \(element.shown)") }
            texts.append(text)
        }
        return texts
    }

    // MARK: References

    /// The schema that the `$ref` of `node` names: a JSON pointer within the document.
    mutating func referenced(by node: Node) throws(GrammarError) -> Node? {
        guard let reference = try text("$ref", of: node) else { return nil }
        guard reference.hasPrefix("#"), let fragment = Self.percentDecoded(reference.dropFirst()),
            fragment.isEmpty || fragment.hasPrefix("/")
        else { throw error(node, "$ref", "expected a pointer within the schema, such as #/$defs/name, found \(JSONValue.quoted(reference))") }
        var value = values[0], pointer = ""
        for step in fragment.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            let name = step.replacing("~1", with: "/").replacing("~0", with: "~")
            guard let next = Self.part(String(name), of: value) else { throw error(node, "$ref", "nothing is at \(JSONValue.quoted(reference))") }
            value = next
            pointer += "/" + step
        }
        return try self.node(value, at: pointer)
    }

    private static func part(_ name: String, of value: JSONValue) -> JSONValue? {
        guard let array = value.array else { return value.object?[name] }
        guard let index = Int(name), (0..<value.count).contains(index) else { return nil }
        return Array(array)[index]
    }

    private static func percentDecoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = [], rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
