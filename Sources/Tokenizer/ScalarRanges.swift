/// The Unicode scalars of valid UTF-8, with their places.
struct ScalarRanges: Sequence, IteratorProtocol {
    private let text: ArraySlice<UInt8>
    private var position: Int

    init(_ text: ArraySlice<UInt8>) {
        self.text = text
        position = text.startIndex
    }

    /// The next scalar and its range of indices in the text.
    mutating func next() -> (scalar: Unicode.Scalar, range: Range<Int>)? {
        guard position < text.endIndex else { return nil }
        let start = position
        position = Swift.min(start + Self.length(leading: text[start]), text.endIndex)
        return (Self.scalar(text[start..<position]), start..<position)
    }

    /// Bytes of the character that `byte` begins.
    static func length(leading byte: UInt8) -> Int {
        byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
    }

    /// The scalar of one character's bytes; U+FFFD if they are none.
    static func scalar(_ bytes: ArraySlice<UInt8>) -> Unicode.Scalar {
        guard let first = bytes.first else { return "\u{FFFD}" }
        if first < 0x80 { return Unicode.Scalar(first) }
        let lead = UInt32(first) & (0x7F >> UInt32(bytes.count))
        return Unicode.Scalar(bytes.dropFirst().reduce(lead) { $0 << 6 | UInt32($1 & 0x3F) }) ?? "\u{FFFD}"
    }

    /// The last scalar of `text`.
    static func last(of text: ArraySlice<UInt8>) -> Unicode.Scalar? {
        guard let start = text.lastIndex(where: { $0 & 0xC0 != 0x80 }) else { return nil }
        return scalar(text[start...])
    }
}

extension Unicode.Scalar {
    /// A word character as UTS #18 defines it: what `\w` means to added tokens of a single word.
    var isWordCharacter: Bool {
        if properties.isAlphabetic || properties.isJoinControl { return true }
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
        default: return false
        }
    }

    /// General category N.
    var isNumeric: Bool {
        switch properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: true
        default: false
        }
    }
}
