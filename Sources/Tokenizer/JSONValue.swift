/// One value of a ``JSONDocument``, read with errors that name its path.
struct JSONValue {
    let document: JSONDocument
    let index: Int

    private var node: JSONDocument.Node { document.nodes[index] }
    var kind: JSONDocument.Kind { node.kind }
    var path: String { document.path(to: index) }

    // MARK: Errors

    func invalid(_ defect: TokenizerError.Defect) -> TokenizerError {
        .invalid(file: document.file, key: path, value: shown, defect: defect)
    }

    func unsupported() -> TokenizerError {
        .unsupported(file: document.file, key: path, value: shown)
    }

    func wrongType(expected: String) -> TokenizerError {
        .wrongType(file: document.file, key: path, expected: expected, found: shown)
    }

    private func missing(_ name: String) -> TokenizerError {
        let parent = index == 0 ? "" : path
        return .missingKey(file: document.file, key: parent + JSONDocument.step(name: name, first: parent.isEmpty))
    }

    /// The value as an error shows it.
    private var shown: String {
        switch kind {
        case .null: "null"
        case .true: "true"
        case .false: "false"
        case .number: String(decoding: document.bytes(of: index).prefix(80), as: UTF8.self)
        case .string: JSONDocument.quoted(String(decoding: document.bytes(of: index), as: UTF8.self))
        case .array: "an array"
        case .object: "an object"
        }
    }

    // MARK: Scalars

    /// The bytes of a string, valid UTF-8.
    func bytes() throws(TokenizerError) -> ArraySlice<UInt8> {
        guard kind == .string else { throw wrongType(expected: "a string") }
        return document.bytes(of: index)
    }

    func string() throws(TokenizerError) -> String {
        String(decoding: try bytes(), as: UTF8.self)
    }

    /// A string of exactly one Unicode scalar, as its UTF-8.
    func character() throws(TokenizerError) -> [UInt8] {
        let text = try string()
        guard text.unicodeScalars.count == 1 else { throw invalid(.notOneCharacter) }
        return Array(text.utf8)
    }

    func bool() throws(TokenizerError) -> Bool {
        switch kind {
        case .true: return true
        case .false: return false
        default: throw wrongType(expected: "true or false")
        }
    }

    /// An integer in `0..<limit`; `defect` is what to call one outside.
    func integer(below limit: Int, else defect: TokenizerError.Defect) throws(TokenizerError) -> Int {
        let expected = "a non-negative integer"
        guard kind == .number else { throw wrongType(expected: expected) }
        var value = 0
        for byte in document.bytes(of: index) {
            if byte == UInt8(ascii: "-") { throw invalid(defect) }
            guard byte >= 0x30 && byte <= 0x39 else { throw wrongType(expected: expected) }
            value = value * 10 + Int(byte - 0x30)
            // The limit is checked at each digit, so that `value` cannot overflow.
            guard value < limit else { throw invalid(defect) }
        }
        return value
    }

    // MARK: Containers

    var isNull: Bool { kind == .null }
    /// Elements of an array, or members of an object; 0 for all else.
    var count: Int { kind == .array || kind == .object ? Int(node.count) : 0 }

    func elements() throws(TokenizerError) -> Elements {
        guard kind == .array else { throw wrongType(expected: "an array") }
        return Elements(document: document, position: index + 1, end: document.end(of: index))
    }

    func members() throws(TokenizerError) -> Members {
        guard kind == .object else { throw wrongType(expected: "an object") }
        return Members(document: document, position: index + 1, end: document.end(of: index))
    }

    /// The member `name`, or `nil` if it is absent or null.
    func optional(_ name: StaticString) throws(TokenizerError) -> JSONValue? {
        var found: JSONValue?
        let wanted = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        for (key, value) in try members() where document.bytes(of: key.index).elementsEqual(wanted) {
            guard found == nil else { throw value.invalid(.duplicateKey) }
            found = value
        }
        return found.flatMap { $0.isNull ? nil : $0 }
    }

    func required(_ name: StaticString) throws(TokenizerError) -> JSONValue {
        guard let value = try optional(name) else { throw missing("\(name)") }
        return value
    }

    func bool(_ name: StaticString, default fallback: Bool) throws(TokenizerError) -> Bool {
        try optional(name)?.bool() ?? fallback
    }

    struct Elements: Sequence, IteratorProtocol {
        fileprivate let document: JSONDocument
        fileprivate var position: Int
        fileprivate let end: Int

        mutating func next() -> JSONValue? {
            guard position < end else { return nil }
            defer { position = document.end(of: position) }
            return JSONValue(document: document, index: position)
        }
    }

    struct Members: Sequence, IteratorProtocol {
        fileprivate let document: JSONDocument
        fileprivate var position: Int
        fileprivate let end: Int

        mutating func next() -> (key: JSONValue, value: JSONValue)? {
            guard position < end else { return nil }
            let value = position + 1
            defer { position = document.end(of: value) }
            return (JSONValue(document: document, index: position), JSONValue(document: document, index: value))
        }
    }
}
