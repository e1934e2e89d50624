/// Makes valid UTF-8 of bytes that come in parts: each maximal invalid subsequence becomes one U+FFFD (Unicode 15,
/// section 3.9), and the beginning of a character waits for its rest.
struct UTF8Repair: Sendable {
    /// A valid beginning of a character, at most three bytes.
    private var pending: [UInt8] = []

    mutating func append(_ bytes: [UInt8]) -> [UInt8] {
        let text = pending + bytes
        let end = text.count - Self.unfinishedCount(text)
        pending = Array(text[end...])
        return Self.repaired(text[..<end])
    }

    mutating func finish() -> [UInt8] {
        defer { pending = [] }
        return Self.repaired(pending[...])
    }

    private static func repaired(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        Array(String(decoding: bytes, as: UTF8.self).utf8)
    }

    /// The number of bytes at the end of `text` that a character may begin with, but that are not one yet.
    private static func unfinishedCount(_ text: [UInt8]) -> Int {
        guard let start = text.suffix(3).lastIndex(where: { $0 & 0xC0 != 0x80 }) else { return 0 }
        let count = text.count - start
        let lead = text[start]
        guard (0xC2...0xF4).contains(lead), count < ScalarRanges.length(leading: lead) else { return 0 }
        // Overlong forms, surrogates and values above U+10FFFF show in the second byte.
        if count > 1 {
            let second: ClosedRange<UInt8> =
                switch lead {
                case 0xE0: 0xA0...0xBF
                case 0xED: 0x80...0x9F
                case 0xF0: 0x90...0xBF
                case 0xF4: 0x80...0x8F
                default: 0x80...0xBF
                }
            guard second.contains(text[start + 1]) else { return 0 }
        }
        return count
    }
}
