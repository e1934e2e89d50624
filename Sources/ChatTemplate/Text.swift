/// A string as Python has it: a sequence of Unicode scalars. Two are equal when their bytes are, which Swift's `String`,
/// comparing by canonical equivalence and counting in grapheme clusters, cannot say.
struct Text: Hashable, Sendable {
    /// Valid UTF-8.
    private(set) var bytes: [UInt8]

    init(_ string: String) { bytes = Array(string.utf8) }

    /// - Parameter bytes: valid UTF-8.
    init(bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    init(_ scalars: some Sequence<Unicode.Scalar>) {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        self.init(String(view))
    }

    var string: String { String(decoding: bytes, as: UTF8.self) }
    var scalars: String.UnicodeScalarView { string.unicodeScalars }
    var isEmpty: Bool { bytes.isEmpty }
    var isASCII: Bool { bytes.allSatisfy { $0 < 0x80 } }

    /// In scalars: every byte but those that continue one.
    var count: Int { bytes.reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) } }

    mutating func append(_ other: Text) { bytes += other.bytes }

    // MARK: Parts

    /// Bytes of the scalar that begins with `lead`.
    static func width(ofLead lead: UInt8) -> Int { lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4 }

    /// The offset in bytes of the scalar number `index`, which is at most ``count``.
    func offset(ofScalar index: Int) -> Int {
        var offset = 0
        for _ in 0..<index where offset < bytes.count { offset += Self.width(ofLead: bytes[offset]) }
        return min(offset, bytes.count)
    }

    /// How many scalars begin before the byte `offset`.
    func scalarIndex(ofOffset offset: Int) -> Int {
        bytes[..<offset].reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) }
    }

    /// The scalar that begins at the byte `offset`, as a text.
    func scalarText(at offset: Int) -> Text {
        Text(bytes: bytes[offset..<min(offset + Self.width(ofLead: bytes[offset]), bytes.count)])
    }

    /// Scalars `range`, which lie within the text.
    func slice(_ range: Range<Int>) -> Text {
        let start = offset(ofScalar: range.lowerBound)
        var end = start
        for _ in range where end < bytes.count { end += Self.width(ofLead: bytes[end]) }
        return Text(bytes: bytes[start..<min(end, bytes.count)])
    }

    // MARK: Searching

    /// Where `needle` begins, in bytes, not overlapping, from the left; Knuth, Morris and Pratt, so in linear time.
    func offsets(of needle: Text, atMost limit: Int = .max, from start: Int = 0) -> [Int] {
        let pattern = needle.bytes
        guard !pattern.isEmpty, limit > 0, bytes.count - start >= pattern.count else { return [] }
        var borders = Array(repeating: 0, count: pattern.count)
        var border = 0
        for index in pattern.indices.dropFirst() {
            while border > 0, pattern[index] != pattern[border] { border = borders[border - 1] }
            if pattern[index] == pattern[border] { border += 1 }
            borders[index] = border
        }
        var found: [Int] = []
        var matched = 0
        for index in start..<bytes.count {
            while matched > 0, bytes[index] != pattern[matched] { matched = borders[matched - 1] }
            if bytes[index] == pattern[matched] { matched += 1 }
            if matched == pattern.count {
                found.append(index + 1 - pattern.count)
                if found.count == limit { break }
                matched = 0
            }
        }
        return found
    }

    func contains(_ needle: Text) -> Bool { needle.isEmpty || !offsets(of: needle, atMost: 1).isEmpty }

    /// Where `needle` begins, from the right, not overlapping, in ascending order.
    func offsetsFromEnd(of needle: Text, atMost limit: Int = .max) -> [Int] {
        let mirrored = Text(bytes: bytes.reversed())
        return mirrored.offsets(of: Text(bytes: needle.bytes.reversed()), atMost: limit)
            .map { bytes.count - $0 - needle.bytes.count }.reversed()
    }

    func hasPrefix(_ prefix: Text) -> Bool { bytes.starts(with: prefix.bytes) }
    func hasSuffix(_ suffix: Text) -> Bool { bytes.count >= suffix.bytes.count && bytes[(bytes.count - suffix.bytes.count)...].elementsEqual(suffix.bytes) }
}

extension Text: Comparable {
    /// By scalars, which UTF-8 orders as its bytes.
    static func < (left: Text, right: Text) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

/// White space as Python's `str.isspace` and `\s` know it.
enum WhiteSpace {
    static func contains(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    /// Bytes of the white space scalar at `index`, or 0.
    static func width(in bytes: [UInt8], at index: Int) -> Int {
        guard index < bytes.count else { return 0 }
        let lead = bytes[index]
        if lead < 0x80 { return contains(Unicode.Scalar(lead)) ? 1 : 0 }
        var decoder = UTF8()
        var iterator = bytes[index..<min(index + 4, bytes.count)].makeIterator()
        guard case .scalarValue(let scalar) = decoder.decode(&iterator), contains(scalar) else { return 0 }
        return Text.width(ofLead: lead)
    }

    /// The index after the white space that begins at `index`.
    static func end(in bytes: [UInt8], from index: Int) -> Int {
        var index = index
        while index < bytes.count {
            if bytes[index] < 0x80 {
                guard contains(Unicode.Scalar(bytes[index])) else { break }
                index += 1
            } else {
                let width = width(in: bytes, at: index)
                guard width > 0 else { break }
                index += width
            }
        }
        return index
    }

    /// The end of `bytes[range]` without the white space that ends it.
    static func start(in bytes: [UInt8], _ range: Range<Int>) -> Int {
        var end = range.upperBound
        while end > range.lowerBound {
            var lead = end - 1
            while lead > range.lowerBound, bytes[lead] & 0xC0 == 0x80 { lead -= 1 }
            guard width(in: bytes, at: lead) == end - lead else { break }
            end = lead
        }
        return end
    }
}
