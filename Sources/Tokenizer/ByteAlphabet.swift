/// GPT-2's alphabet: a printable character for each byte, so that any bytes can be written as text.
///
/// Printable bytes of Latin-1 stand for themselves, the 68 others for U+0100, U+0101 and so on.
enum ByteAlphabet {
    /// By byte, the UTF-8 of its character.
    static let characters: [[UInt8]] = scalars.map { Array($0.utf8) }
    /// By code point, the byte; the characters end at U+0143.
    private static let bytes: [UInt8?] = {
        var bytes = [UInt8?](repeating: nil, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar.value)] = UInt8(byte) }
        return bytes
    }()

    private static let scalars: [Unicode.Scalar] = {
        var next: UInt32 = 0x100
        return (UInt8.min...UInt8.max).map { byte in
            switch byte {
            case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return Unicode.Scalar(byte)
            default:
                defer { next += 1 }
                return Unicode.Scalar(next) ?? "\u{FFFD}"
            }
        }
    }()

    /// The bytes that `token` stands for, or `nil` if it holds a character outside the alphabet.
    static func decode(_ token: ArraySlice<UInt8>) -> [UInt8]? {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(token.count)
        for (scalar, _) in ScalarRanges(token) {
            guard scalar.value < bytes.count, let byte = bytes[Int(scalar.value)] else { return nil }
            decoded.append(byte)
        }
        return decoded
    }
}
