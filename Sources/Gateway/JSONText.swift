/// A JSON value to be written, its members in the order in which they were put in.
enum JSONText: Sendable, Hashable {
    case null
    case boolean(Bool)
    case integer(Int)
    /// Written as the shortest text that reads back as the same double; `null` if it is not finite.
    case number(Double)
    case string(String)
    case array([JSONText])
    case object([Member])
    /// JSON as it was received, passed on untouched.
    case verbatim([UInt8])

    struct Member: Sendable, Hashable {
        var name: String
        var value: JSONText

        func write(to bytes: inout [UInt8]) {
            JSONText.write(name, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            value.write(to: &bytes)
        }
    }

    /// The UTF-8 of the text, on one line.
    var utf8: [UInt8] {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return bytes
    }

    func write(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += "null".utf8
        case .boolean(let value): bytes += (value ? "true" : "false").utf8
        case .integer(let value): bytes += String(value).utf8
        case .number(let value): bytes += (value.isFinite ? "\(value)" : "null").utf8
        case .string(let text): Self.write(text, to: &bytes)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                element.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                member.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        case .verbatim(let text): bytes += text
        }
    }

    /// Appends a string with its quotes.
    static func write(_ text: String, to bytes: inout [UInt8]) {
        var text = text
        bytes.append(UInt8(ascii: "\""))
        text.withUTF8 { utf8 in
            if utf8.contains(where: needsEscape) { escape(utf8, to: &bytes) } else { bytes.append(contentsOf: utf8) }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte == 0x7F
    }

    private static func escape(_ utf8: UnsafeBufferPointer<UInt8>, to bytes: inout [UInt8]) {
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0x0A: bytes += "\\n".utf8
            case 0x0D: bytes += "\\r".utf8
            case 0x09: bytes += "\\t".utf8
            case 0..<0x20, 0x7F:
                let digits = String(byte, radix: 16)
                bytes += (digits.utf8.count == 1 ? "\\u000" : "\\u00").utf8
                bytes += digits.utf8
            default: bytes.append(byte)
            }
        }
    }
}

extension JSONText: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    init(stringLiteral text: String) { self = .string(text) }
    init(integerLiteral value: Int) { self = .integer(value) }
    init(booleanLiteral value: Bool) { self = .boolean(value) }
    init(nilLiteral: ()) { self = .null }
    init(arrayLiteral elements: JSONText...) { self = .array(elements) }
    init(dictionaryLiteral members: (String, JSONText)...) {
        self = .object(members.map { Member(name: $0, value: $1) })
    }

    /// `null` for `nil`.
    init(_ text: String?) { self = text.map { .string($0) } ?? .null }

    /// This object with one member more.
    func adding(_ name: String, _ value: JSONText) -> JSONText {
        guard case .object(let members) = self else { preconditionFailure("no object: \(self)") }
        return .object(members + [Member(name: name, value: value)])
    }
}
