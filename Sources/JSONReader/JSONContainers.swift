/// The elements of an array, in the order of the text.
public struct JSONArray: Sequence, IteratorProtocol, Sendable {
    private let document: JSONDocument
    private var position: Int
    private let end: Int
    /// Elements, those included that an iteration has taken.
    public let count: Int

    init(_ value: JSONValue) {
        document = value.document
        position = value.index + 1
        end = document.end(of: value.index)
        count = value.count
    }

    public mutating func next() -> JSONValue? {
        guard position < end else { return nil }
        defer { position = document.end(of: position) }
        return JSONValue(document: document, index: position)
    }
}

/// The members of an object, in the order of the text; no two keys are equal.
public struct JSONObject: Sequence, IteratorProtocol, Sendable {
    private let document: JSONDocument
    private var position: Int
    private let end: Int

    init(_ value: JSONValue) {
        document = value.document
        position = value.index + 1
        end = document.end(of: value.index)
    }

    public mutating func next() -> (key: JSONValue, value: JSONValue)? {
        guard position < end else { return nil }
        let value = position + 1
        defer { position = document.end(of: value) }
        return (JSONValue(document: document, index: position), JSONValue(document: document, index: value))
    }

    /// The member with that key, byte for byte; takes time linear in the number of members.
    public subscript(name: String) -> JSONValue? {
        var key = position
        let wanted = name.utf8
        while key < end {
            let isFound = wanted.count == Int(document.nodes[key].count)
                && document.withBytes(of: key) { $0.elementsEqual(wanted) }
            if isFound { return JSONValue(document: document, index: key + 1) }
            key = document.end(of: key + 1)
        }
        return nil
    }
}
