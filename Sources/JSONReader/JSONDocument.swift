/// A parsed JSON text as a flat list of nodes in the order of the text.
///
/// A vocabulary holds strings that are canonically equivalent in Unicode but differ in bytes. Dictionaries keyed
/// by `String`, Foundation's parsers among them, would drop one of each such pair, so keys stay bytes here, and two equal
/// ones in an object are an error: readers that keep the first and readers that keep the last would see two different files.
/// Values stay in the order of the text, and no value is converted before someone asks for it.
///
/// Reading takes time linear in the text, and at most seven times its bytes of memory (the text itself included).
public final class JSONDocument: Sendable {
    /// Twelve bytes, and at least two bytes of text for each.
    struct Node: Sendable {
        let kind: JSONValue.Kind
        /// Whether the span of a string lies in `unescaped` instead of `source`.
        var isUnescaped = false
        /// First byte of a number's or string's content. Of a container, the index after its last descendant.
        var startOrEnd: UInt32 = 0
        /// Bytes of a number or string; elements of an array, or members of an object.
        var count: UInt32 = 0
    }

    /// What errors call the document.
    public let file: String
    /// The text.
    let source: [UInt8]
    /// The contents of all strings that held escapes, one after another.
    let unescaped: [UInt8]
    /// Parents before children; an object's children are key, value, key, value.
    let nodes: [Node]

    /// Containers nested deeper than this are refused.
    public static let greatestDepth = 128
    /// Places in the text and nodes (no more than one per byte) are 32 bits wide.
    public static let greatestByteCount = 1 << 30

    /// - Parameter maximumByteCount: longer texts are refused unread; at most ``greatestByteCount``.
    public init(file: String, source: [UInt8], maximumByteCount: Int = greatestByteCount) throws(JSONError) {
        precondition(maximumByteCount <= Self.greatestByteCount, "maximumByteCount: \(maximumByteCount)")
        guard source.count <= maximumByteCount else { throw .malformed(offset: 0, .tooLarge) }
        var parser = JSONParser(source: source)
        try parser.parseDocument()
        self.file = file
        self.source = source
        self.unescaped = parser.unescaped
        self.nodes = parser.nodes
        if let key = firstRepeatedKey() { throw .duplicateKey(path: path(to: key)) }
    }

    public var root: JSONValue { JSONValue(document: self, index: 0) }

    /// The index after the last node of the subtree at `index`.
    func end(of index: Int) -> Int {
        let node = nodes[index]
        return node.kind == .array || node.kind == .object ? Int(node.startOrEnd) : index + 1
    }

    /// The content of a number or string.
    func bytes(of index: Int) -> ArraySlice<UInt8> {
        let node = nodes[index]
        let range = Int(node.startOrEnd)..<Int(node.startOrEnd) + Int(node.count)
        return node.isUnescaped ? unescaped[range] : source[range]
    }

    /// The content of a number or string, lent.
    func withBytes<Result>(of index: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        let node = nodes[index]
        let range = Int(node.startOrEnd)..<Int(node.startOrEnd) + Int(node.count)
        return (node.isUnescaped ? unescaped : source).withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// The path of a node, found by walking down from the root: only errors ask for it.
    func path(to target: Int) -> String {
        var path = ""
        var index = 0
        while index != target {
            let isObject = nodes[index].kind == .object
            var child = index + 1
            var position = 0
            // Of an object's children every second one is a key; a key is named like its value.
            var key = child
            while end(of: child) <= target {
                child = end(of: child)
                position += 1
                if position % 2 == 0 { key = child }
            }
            path += isObject ? Self.step(name: String(decoding: bytes(of: key), as: UTF8.self), first: path.isEmpty)
                : "[\(position)]"
            index = child
        }
        return path.isEmpty ? "(root)" : path
    }

    static func step(name: String, first: Bool) -> String {
        let isPlain = !name.isEmpty && name.utf8.count <= 80 && name.utf8.allSatisfy { byte in
            byte == UInt8(ascii: "_") || (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A)
        }
        return isPlain ? (first ? name : "." + name) : "[\(JSONValue.quoted(name))]"
    }
}
