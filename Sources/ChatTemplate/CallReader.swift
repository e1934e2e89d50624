import JSONReader

/// Reads `{"name": …, "arguments": …}` byte by byte, its members in any order, and hands the arguments on while they come.
struct CallReader: Sendable {
    enum Progress: Sendable {
        case more
        /// The name is known and the arguments have begun: from now on it is a call.
        case named(String)
        case ended
        case failed
    }

    private enum Phase: Sendable {
        case beforeObject, beforeKey, key, beforeColon, beforeValue, value, afterValue
    }

    private enum Role: Sendable { case name, arguments, other }

    private(set) var name: String?
    var hasBegun = false
    private var phase = Phase.beforeObject
    private var role = Role.other
    /// Whether the braces of the call itself are missing: all there is are the arguments.
    private let isBare: Bool
    private var hasArguments = false
    private var isFirstMember = true
    private var scanner = JSONScanner()
    /// A key, a name, or arguments in quotes, as written.
    private var quoted: [UInt8] = []
    private var arguments: [UInt8] = []

    /// No key or name is longer.
    private static let greatestName = 512

    init() { isBare = false }

    /// What begins with the arguments of the call `name`.
    init(name: String) {
        self.name = name
        isBare = true
        hasBegun = true
        phase = .beforeValue
        role = .arguments
    }

    /// Arguments that have come since the last time, up to the last whole character.
    mutating func takeArguments() -> String {
        let count = arguments.count - Text.incompleteSuffix(arguments)
        defer { arguments.removeFirst(count) }
        return String(decoding: arguments[..<count], as: UTF8.self)
    }

    mutating func take(_ byte: UInt8) -> Progress {
        let isSpace = byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
        switch phase {
        case .beforeObject:
            guard byte == UInt8(ascii: "{") else { return .failed }
            phase = .beforeKey
        case .beforeKey:
            if isSpace { return .more }
            if byte == UInt8(ascii: "}"), isFirstMember { return .ended }
            guard byte == UInt8(ascii: "\"") else { return .failed }
            isFirstMember = false
            scanner = JSONScanner()
            quoted = [byte]
            _ = scanner.take(byte)
            phase = .key
        case .key: return takeKey(byte)
        case .beforeColon:
            if isSpace { return .more }
            guard byte == UInt8(ascii: ":") else { return .failed }
            phase = .beforeValue
        case .beforeValue:
            if isSpace { return .more }
            scanner = JSONScanner()
            quoted = []
            phase = .value
            if role == .arguments, byte != UInt8(ascii: "{"), byte != UInt8(ascii: "\"") { return .failed }
            if role == .name, byte != UInt8(ascii: "\"") { return .failed }
            return takeValue(byte)
        case .value: return takeValue(byte)
        case .afterValue:
            if isSpace { return .more }
            if byte == UInt8(ascii: "}") { return .ended }
            guard byte == UInt8(ascii: ",") else { return .failed }
            phase = .beforeKey
        }
        return .more
    }

    private mutating func takeKey(_ byte: UInt8) -> Progress {
        quoted.append(byte)
        guard quoted.count <= Self.greatestName else { return .failed }
        switch scanner.take(byte) {
        case .more: return .more
        case .failed, .endedBefore: return .failed
        case .ended: break
        }
        switch Self.text(of: quoted) {
        case "name" where name == nil: role = .name
        case "arguments" where !hasArguments, "parameters" where !hasArguments: role = .arguments
        case nil: return .failed
        default: role = .other
        }
        phase = .beforeColon
        return .more
    }

    private mutating func takeValue(_ byte: UInt8) -> Progress {
        let step = scanner.take(byte)
        if step == .failed { return .failed }
        if step == .endedBefore {
            phase = .afterValue
            return take(byte)
        }
        switch role {
        case .other: break
        case .name:
            quoted.append(byte)
            guard quoted.count <= Self.greatestName else { return .failed }
        // Some models put the arguments in quotes once more.
        case .arguments: if scanner.isString { quoted.append(byte) } else { arguments.append(byte) }
        }
        if step == .ended { return endValue() }
        return role == .arguments && !scanner.isString ? beginIfKnown() : .more
    }

    private mutating func endValue() -> Progress {
        phase = .afterValue
        switch role {
        case .other: return .more
        case .name:
            guard let text = Self.text(of: quoted), !text.isEmpty else { return .failed }
            name = text
        case .arguments:
            if scanner.isString {
                guard let text = Self.text(of: quoted) else { return .failed }
                arguments = Array(text.utf8)
            }
            hasArguments = true
        }
        if isBare { return .ended }
        return hasArguments ? beginIfKnown() : .more
    }

    private mutating func beginIfKnown() -> Progress {
        guard !hasBegun, let name else { return .more }
        hasBegun = true
        return .named(name)
    }

    /// What a JSON string says.
    private static func text(of quoted: [UInt8]) -> String? {
        do {
            return try JSONDocument(file: "call", source: quoted).root.text
        } catch {
            return nil
        }
    }
}

/// Finds the end of a JSON value byte by byte. It sees that brackets match and that only JSON's characters stand outside of strings.
struct JSONScanner: Sendable {
    enum Step: Sendable {
        case more
        /// With this byte.
        case ended
        /// With the byte before: numbers and words have no end of their own.
        case endedBefore
        case failed
    }

    private var closings: [UInt8] = []
    private var isInString = false
    private var isEscaped = false
    private var isWord = false
    /// Whether the value is a string.
    private(set) var isString = false

    /// Containers within one another.
    private static let greatestDepth = 128

    mutating func take(_ byte: UInt8) -> Step {
        if isInString { return takeInString(byte) }
        switch byte {
        case UInt8(ascii: "\""):
            if isWord, closings.isEmpty { return .failed }
            isString = closings.isEmpty
            isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            guard closings.count < Self.greatestDepth, !isWord || !closings.isEmpty else { return .failed }
            closings.append(byte + 2)
        case UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: ","):
            if closings.isEmpty { return isWord ? .endedBefore : .failed }
            if byte == UInt8(ascii: ",") { return .more }
            guard closings.removeLast() == byte else { return .failed }
            return closings.isEmpty ? .ended : .more
        case 0x20, 0x0A, 0x0D, 0x09: return closings.isEmpty && isWord ? .endedBefore : .more
        case UInt8(ascii: ":"): return closings.isEmpty ? .failed : .more
        case _ where "0123456789+-.eEtrufalsn".utf8.contains(byte): if closings.isEmpty { isWord = true }
        default: return .failed
        }
        return .more
    }

    private mutating func takeInString(_ byte: UInt8) -> Step {
        if isEscaped {
            isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
            isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
            isInString = false
            return closings.isEmpty ? .ended : .more
        } else if byte < 0x20 {
            return .failed
        }
        return .more
    }
}
