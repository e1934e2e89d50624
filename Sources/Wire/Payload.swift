import Generation

/// Lists of numbers and texts in frames of their own, little-endian.
enum Payload {
    static func tokens(_ tokens: [TokenID]) -> Frame {
        Frame(tokens.map(\.littleEndian).withUnsafeBytes { [UInt8]($0) })
    }

    /// - Parameter count: how many the header announced; `nil` takes what is there.
    static func tokens(_ frame: Frame, message: String, count: Int? = nil) throws(WireError) -> [TokenID] {
        let size = MemoryLayout<TokenID>.size
        let expected = count.map { $0 * size } ?? frame.count / size * size
        guard frame.count == expected else {
            throw .payloadLength(message: message, expected: expected, actual: frame.count)
        }
        return frame.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count, by: size).map {
                TokenID(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: TokenID.self))
            }
        }
    }

    static func text(_ text: String) -> Frame { Frame(Array(text.utf8)) }

    static func text(_ frame: Frame, message: String, field: String) throws(WireError) -> String {
        guard let text = frame.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
            throw .notText(message: message, field: field)
        }
        return text
    }
}
