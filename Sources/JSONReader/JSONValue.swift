/// One value of a ``JSONDocument``. Accessors give `nil` for a value of another kind.
public struct JSONValue: Sendable {
    public enum Kind: UInt8, Sendable {
        case null, `true`, `false`, number, string, array, object
    }

    public let document: JSONDocument
    let index: Int

    private var node: JSONDocument.Node { document.nodes[index] }
    public var kind: Kind { node.kind }
    public var isNull: Bool { kind == .null }

    // MARK: Scalars

    public var boolean: Bool? {
        switch kind {
        case .true: true
        case .false: false
        default: nil
        }
    }

    /// The bytes of a string, valid UTF-8.
    public var utf8: ArraySlice<UInt8>? { kind == .string ? document.bytes(of: index) : nil }

    public var text: String? { utf8.map { String(decoding: $0, as: UTF8.self) } }

    /// A number as it is written.
    public var digits: ArraySlice<UInt8>? { kind == .number ? document.bytes(of: index) : nil }

    /// A number without fraction and exponent that fits.
    public var integer: Int? { digits.flatMap { Int(String(decoding: $0, as: UTF8.self)) } }

    /// The double nearest to a number; `nil` too for one that no finite double is near.
    public var number: Double? {
        guard let digits, let value = Double(String(decoding: digits, as: UTF8.self)), value.isFinite else { return nil }
        return value
    }

    // MARK: Containers

    /// Elements of an array, or members of an object; 0 for all else.
    public var count: Int { kind == .array || kind == .object ? Int(node.count) : 0 }
    /// Values and keys within the value, at all levels.
    public var descendantCount: Int { document.end(of: index) - index - 1 }
    public var array: JSONArray? { kind == .array ? JSONArray(self) : nil }
    public var object: JSONObject? { kind == .object ? JSONObject(self) : nil }

    // MARK: For errors

    /// How one gets here from the root, such as `added_tokens[3].id`.
    public var path: String { document.path(to: index) }

    /// The path that the member `name` has, or would have.
    public func path(ofMember name: String) -> String {
        let parent = index == 0 ? "" : path
        return parent + JSONDocument.step(name: name, first: parent.isEmpty)
    }

    /// The value on one line, shortened if it is long.
    public var shown: String {
        switch kind {
        case .null: "null"
        case .true: "true"
        case .false: "false"
        case .number: String(decoding: document.bytes(of: index).prefix(80), as: UTF8.self)
        // No more of the text than can be shown: 81 scalars of up to four bytes.
        case .string: Self.quoted(String(decoding: document.bytes(of: index).prefix(4 * 81), as: UTF8.self))
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// `text` in quotes and on one line, shortened if it is long.
    public static func quoted(_ text: String) -> String {
        let limit = 80
        var shown = ""
        for scalar in text.unicodeScalars.prefix(limit) {
            if scalar.properties.generalCategory == .control {
                shown += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                shown.unicodeScalars.append(scalar)
            }
        }
        return "\"\(shown)\(text.unicodeScalars.dropFirst(limit).isEmpty ? "" : "…")\""
    }
}
