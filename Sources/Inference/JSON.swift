/// A strict JSON reader for files of a checkpoint: no duplicate keys, bounded depth, whole input.
/// (Foundation's keeps the last of two equal keys, which lets two readers see two different files.)
enum JSON: Sendable, Hashable {
    case null
    case bool(Bool)
    /// A number without fraction and exponent that fits.
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    static let greatestDepth = 32

    init(parsing bytes: some Sequence<UInt8>) throws(JSONError) {
        var parser = JSONParser(bytes: Array(bytes))
        self = try parser.document()
    }

    /// What the value looks like in an error message.
    var brief: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let value): "\"\(value.prefix(60))\""
        case .array(let values): "an array of \(values.count)"
        case .object(let members): "an object of \(members.count)"
        }
    }
}

struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    enum Reason: String, Sendable, Hashable {
        case unexpectedEnd = "ends in the middle of a value"
        case unexpectedByte = "unexpected character"
        case trailing = "something follows the value"
        case depth = "nested too deeply"
        case duplicateKey = "duplicate key"
        case escape = "invalid escape"
        case utf8 = "invalid UTF-8"
        case number = "invalid number"
    }
    var reason: Reason
    /// Byte offset.
    var offset: Int
    var detail = ""

    var description: String { "\(reason.rawValue)\(detail.isEmpty ? "" : " \"\(detail)\"") at byte \(offset)" }
}

private struct JSONParser {
    let bytes: [UInt8]
    var at = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(JSONError) -> JSON {
        let value = try value(depth: 0)
        skipSpace()
        guard at == bytes.count else { throw error(.trailing) }
        return value
    }

    private func error(_ reason: JSONError.Reason, _ detail: String = "") -> JSONError {
        JSONError(reason: reason, offset: at, detail: detail)
    }

    private mutating func skipSpace() {
        while at < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[at]) { at += 1 }
    }

    private func peek() throws(JSONError) -> UInt8 {
        guard at < bytes.count else { throw error(.unexpectedEnd) }
        return bytes[at]
    }

    private mutating func expect(_ text: StaticString) throws(JSONError) {
        for i in 0..<text.utf8CodeUnitCount {
            guard try peek() == text.utf8Start[i] else { throw error(.unexpectedByte) }
            at += 1
        }
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSON {
        guard depth < JSON.greatestDepth else { throw error(.depth) }
        skipSpace()
        switch try peek() {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): try expect("true"); return .bool(true)
        case UInt8(ascii: "f"): try expect("false"); return .bool(false)
        case UInt8(ascii: "n"): try expect("null"); return .null
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw error(.unexpectedByte)
        }
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSON {
        var members: [String: JSON] = [:]
        at += 1
        skipSpace()
        if try peek() == UInt8(ascii: "}") { at += 1; return .object(members) }
        while true {
            skipSpace()
            guard try peek() == UInt8(ascii: "\"") else { throw error(.unexpectedByte) }
            let key = try string()
            skipSpace()
            try expect(":")
            let member = try value(depth: depth + 1)
            guard members.updateValue(member, forKey: key) == nil else {
                throw error(.duplicateKey, String(key.prefix(60)))
            }
            if try endsList(UInt8(ascii: "}")) { return .object(members) }
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSON {
        var values: [JSON] = []
        at += 1
        skipSpace()
        if try peek() == UInt8(ascii: "]") { at += 1; return .array(values) }
        while true {
            values.append(try value(depth: depth + 1))
            if try endsList(UInt8(ascii: "]")) { return .array(values) }
        }
    }

    /// Takes a comma (false) or `close` (true).
    private mutating func endsList(_ close: UInt8) throws(JSONError) -> Bool {
        skipSpace()
        let byte = try peek()
        guard byte == close || byte == UInt8(ascii: ",") else { throw error(.unexpectedByte) }
        at += 1
        return byte == close
    }

    private mutating func number() throws(JSONError) -> JSON {
        let start = at
        while at < bytes.count, "+-.eE0123456789".utf8.contains(bytes[at]) { at += 1 }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        let hasLeadingZero = digits.hasPrefix("0") && digits.dropFirst().first?.isNumber == true
        guard !hasLeadingZero, digits.first?.isNumber == true, text.last?.isNumber == true else {
            throw error(.number, String(text.prefix(40)))
        }
        if digits.allSatisfy(\.isNumber), let integer = Int(text) { return .integer(integer) }
        guard let value = Double(text), value.isFinite else { throw error(.number, String(text.prefix(40))) }
        return .number(value)
    }

    private mutating func string() throws(JSONError) -> String {
        at += 1
        var text: [UInt8] = []
        while true {
            let byte = try peek()
            at += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else { throw error(.utf8) }
                return string
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw error(.unexpectedByte)
            default: text.append(byte)
            }
        }
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        let byte = try peek()
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(8)
        case UInt8(ascii: "f"): text.append(12)
        case UInt8(ascii: "n"): text.append(10)
        case UInt8(ascii: "r"): text.append(13)
        case UInt8(ascii: "t"): text.append(9)
        case UInt8(ascii: "u"):
            guard let scalar = Unicode.Scalar(try codePoint()) else { throw error(.escape) }
            text.append(contentsOf: String(Character(scalar)).utf8)
        default: throw error(.escape)
        }
    }

    /// The code point of `\uXXXX`, or of a surrogate pair of them.
    private mutating func codePoint() throws(JSONError) -> UInt32 {
        let high = try fourDigits()
        guard (0xd800..<0xdc00).contains(high) else { return high }
        try expect("\\u")
        let low = try fourDigits()
        guard (0xdc00..<0xe000).contains(low) else { throw error(.escape) }
        return 0x10000 + (high - 0xd800) << 10 + (low - 0xdc00)
    }

    private mutating func fourDigits() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(try peek())).hexDigitValue else { throw error(.escape) }
            value = value << 4 | UInt32(digit)
            at += 1
        }
        return value
    }
}
