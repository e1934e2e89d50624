import Generation
import JSONReader

/// The model's tokens: a two-way map between ids and byte strings.
///
/// All tokens lie in one buffer, and the hash table holds ids only: 150,000 tokens cost three allocations. Hashing is
/// seeded by the process, so that no file can be written to make it slow.
struct Vocabulary: Sendable {
    private struct Span {
        let start: UInt32
        let count: UInt32
    }

    private var buffer: [UInt8] = []
    /// By id; ids may have holes.
    private var spans: [Span?] = []
    /// Open addressing with linear probing; a power of two, at most half full.
    private var slots: [TokenID?]
    private(set) var count = 0

    init(capacity: Int) {
        var slotCount = 16
        while slotCount < 2 * capacity { slotCount *= 2 }
        slots = Array(repeating: nil, count: slotCount)
    }

    /// Reads `model.vocab`, `{token: id}`. Ids below ``idLimit(tokenCount:)``, none twice. (Nor is a key of an object.)
    init(_ value: JSONValue, idLimit: Int) throws(TokenizerError) {
        self.init(capacity: value.count)
        var greatest = -1
        for (_, value) in try value.members() {
            greatest = max(greatest, try value.integer(below: idLimit, else: .idOutOfRange))
        }
        spans.reserveCapacity(greatest + 1)
        for (key, value) in try value.members() {
            let id = try value.integer(below: idLimit, else: .idOutOfRange)
            let token = try key.bytes()
            guard self.token(TokenID(id)) == nil else { throw value.invalid(.duplicateID) }
            insert(token, id: TokenID(id))
        }
    }

    /// Tokens by id, those of `unused` left out.
    /// - Parameter key: of the list, for errors.
    init(tokens: [[UInt8]], unused: (Int) -> Bool, file: String, key: String) throws(TokenizerError) {
        self.init(capacity: tokens.count)
        var byteCount = 0
        for (id, token) in tokens.enumerated() where !unused(id) {
            // Places in the buffer are 32 bits wide, and so are ids.
            byteCount += token.count
            guard id < Int(TokenID.max), byteCount <= Int(UInt32.max) else {
                throw .invalid(file: file, key: "\(key)[\(id)]", value: "\(byteCount) bytes", defect: .idOutOfRange)
            }
            guard self.id(of: token) == nil else {
                throw .invalid(file: file, key: "\(key)[\(id)]", value: Self.shown(token), defect: .duplicateToken)
            }
            insert(token[...], id: TokenID(id))
        }
    }

    /// A token as an error shows it.
    static func shown(_ token: some Collection<UInt8>) -> String { String(decoding: token.prefix(80), as: UTF8.self).debugDescription }

    /// The bound of ids in a file with `tokenCount` tokens: wide enough for holes and reserved ranges, and narrow
    /// enough that a table indexed by id stays in proportion to the file.
    static func idLimit(tokenCount: Int) -> Int {
        min(4 * tokenCount + 65_536, Int(TokenID.max))
    }

    /// One more than the greatest id.
    var idBound: Int { spans.count }

    func token(_ id: TokenID) -> ArraySlice<UInt8>? {
        guard id >= 0, Int(id) < spans.count, let span = spans[Int(id)] else { return nil }
        return buffer[Int(span.start)..<Int(span.start) + Int(span.count)]
    }

    func id(of token: ArraySlice<UInt8>) -> TokenID? {
        token.withUnsafeBytes { bytes -> TokenID? in slots[slot(of: bytes)] }
    }

    func id(of token: [UInt8]) -> TokenID? { id(of: token[...]) }

    /// `token` and `id` must be new.
    private mutating func insert(_ token: ArraySlice<UInt8>, id: TokenID) {
        let slot = token.withUnsafeBytes { self.slot(of: $0) }
        slots[slot] = id
        while spans.count <= Int(id) { spans.append(nil) }
        spans[Int(id)] = Span(start: UInt32(buffer.count), count: UInt32(token.count))
        buffer.append(contentsOf: token)
        count += 1
    }

    /// The slot that holds `token`, or the empty one where it belongs.
    private func slot(of token: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: token)
        let mask = slots.count - 1
        var slot = hasher.finalize() & mask
        while let id = slots[slot], !holds(id, token) { slot = (slot + 1) & mask }
        return slot
    }

    private func holds(_ id: TokenID, _ token: UnsafeRawBufferPointer) -> Bool {
        guard let span = spans[Int(id)], Int(span.count) == token.count else { return false }
        return buffer.withUnsafeBytes { buffer in
            buffer[Int(span.start)..<Int(span.start) + token.count].elementsEqual(token)
        }
    }
}
