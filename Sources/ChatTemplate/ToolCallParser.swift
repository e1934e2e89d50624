/// What an answer consists of, in order.
public enum ToolCallEvent: Sendable, Hashable {
    /// Text for the reader, never empty.
    case content(String)
    /// A call begins; calls are counted from 0.
    case callBegan(index: Int, id: String, name: String)
    /// More of the JSON text of the call's arguments, never empty.
    case arguments(index: Int, String)
    /// `isWhole` is false if the answer broke off within the arguments, or they are not JSON.
    case callEnded(index: Int, isWhole: Bool)
}

/// Takes an answer apart into text and calls while it comes in. However it is cut into pieces, the same comes out in total:
/// no part of a marker is ever given out as text, and white space around calls is dropped.
///
/// Memory: what may still turn out to be a marker or a call is held back; once a call has begun, its arguments pass through.
public struct ToolCallParser: Sendable {
    private enum State: Sendable {
        /// Nothing but white space so far, or between calls: where a call without marker may begin.
        case beforeCall
        case text
        /// Behind a marker.
        case marked
        /// Mistral's name and id, up to the arguments.
        case header
        case call(CallReader)
        /// Behind a call of a list.
        case inList
        /// Behind a call, up to the marker that closes it.
        case closing
    }

    private let format: ToolCallFormat
    private let knownNames: Set<String>?
    private let seed: UInt64
    private let marker: [UInt8]
    private var state: State
    /// Bytes taken and neither given out nor dropped.
    private var held: [UInt8] = []
    /// White space that belongs to the text if more text follows.
    private var space: [UInt8] = []
    /// Whether nothing but white space has followed the last call.
    private var isBehindCall = false
    private var content: [UInt8] = []
    /// Bytes to be taken once more, the next one last.
    private var returned: [UInt8] = []
    private var callCount = 0
    private var isInList = false
    private var events: [ToolCallEvent] = []

    private static let closingMarker = Array("</tool_call>".utf8)
    /// No name or id is longer.
    private static let greatestHeader = 512

    /// - Parameters:
    ///   - knownNames: the tools that the request offers. JSON without marker that names none of them is text.
    ///   - seed: what the calls' ids are made of.
    public init(_ format: ToolCallFormat, knownNames: Set<String>? = nil, seed: UInt64) {
        self.format = format
        self.knownNames = knownNames
        self.seed = seed
        marker = Array(format.marker.utf8)
        state = format == .llama3 ? .beforeCall : .text
    }

    /// What becomes certain with the next piece of the answer.
    public mutating func append(_ text: String) -> [ToolCallEvent] { append(bytes: text.utf8) }

    /// The same for bytes, which may break off within a character.
    public mutating func append(bytes: some Sequence<UInt8>) -> [ToolCallEvent] {
        for byte in bytes { takeAll(byte) }
        flushText()
        flushArguments()
        return takeEvents()
    }

    /// What is left when the answer has ended.
    public mutating func finish() -> [ToolCallEvent] {
        switch state {
        case .call(let reader) where reader.hasBegun:
            flushArguments()
            events.append(.callEnded(index: callCount - 1, isWhole: false))
            held = []
        case .closing, .inList: held = []
        default: break
        }
        state = .text
        write(held)
        held = []
        if !space.isEmpty {
            // No text follows it, but no call either.
            content = space
            space = []
            write([])
        }
        return takeEvents()
    }

    /// All of an answer at once.
    public static func parse(
        _ answer: String, format: ToolCallFormat, knownNames: Set<String>? = nil, seed: UInt64
    ) -> [ToolCallEvent] {
        var parser = ToolCallParser(format, knownNames: knownNames, seed: seed)
        return parser.append(answer) + parser.finish()
    }

    private mutating func takeEvents() -> [ToolCallEvent] {
        defer { events = [] }
        return events
    }

    // MARK: Bytes

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    private mutating func takeAll(_ byte: UInt8) {
        take(byte)
        while let next = returned.popLast() { take(next) }
    }

    private mutating func take(_ byte: UInt8) {
        switch state {
        case .beforeCall: takeBeforeCall(byte)
        case .text:
            held.append(byte)
            findMarker()
        case .marked: takeMarked(byte)
        case .header: takeHeader(byte)
        case .call(var reader):
            // Leaves the reader's bytes one owner.
            state = .text
            held.append(byte)
            let progress = reader.take(byte)
            follow(progress, of: reader)
        case .inList: takeInList(byte)
        case .closing: takeClosing(byte)
        }
    }

    /// Llama's calls may begin without a marker.
    private mutating func takeBeforeCall(_ byte: UInt8) {
        if byte == UInt8(ascii: "{") {
            return beginReading(byte)
        }
        if Self.isSpace(byte) || (byte == UInt8(ascii: ";") && callCount > 0) {
            held.append(byte)
            return
        }
        state = .text
        // Between calls nothing but separators was held.
        if callCount > 0 { held.removeAll { Self.isSpace($0) || $0 == UInt8(ascii: ";") } }
        held.append(byte)
        findMarker()
    }

    private mutating func beginReading(_ byte: UInt8) {
        held.append(byte)
        var reader = CallReader()
        _ = reader.take(byte)
        state = .call(reader)
    }

    private mutating func findMarker() {
        guard held.last == marker.last, held.suffix(marker.count).elementsEqual(marker) else { return }
        write(held.dropLast(marker.count))
        // Kept, so that it is text again if no call follows.
        held = marker
        isInList = false
        state = .marked
    }

    private mutating func takeMarked(_ byte: UInt8) {
        if Self.isSpace(byte) {
            held.append(byte)
        } else if byte == UInt8(ascii: "{") {
            beginReading(byte)
        } else if byte == UInt8(ascii: "["), !isInList, format == .mistral || format == .mistralNamed {
            held.append(byte)
            isInList = true
        } else if !isInList, format == .mistral || format == .mistralNamed {
            held.append(byte)
            state = .header
        } else {
            held.append(byte)
            giveUp()
        }
    }

    /// `name[ARGS]{`, with `[CALL_ID]id` before the second bracket or not.
    private mutating func takeHeader(_ byte: UInt8) {
        guard byte == UInt8(ascii: "{") else {
            held.append(byte)
            if held.count > Self.greatestHeader { giveUp() }
            return
        }
        let header = String(decoding: held.dropFirst(marker.count), as: UTF8.self)
        let parts = header.split(separator: "[", omittingEmptySubsequences: false)
        let name = String(parts[0]).filter { !$0.isWhitespace }
        var id: String?
        for part in parts.dropFirst() where part.hasPrefix("CALL_ID]") { id = String(part.dropFirst("CALL_ID]".count)) }
        guard !name.isEmpty else {
            held.append(byte)
            return giveUp()
        }
        begin(name, id: id)
        var reader = CallReader(name: name)
        _ = reader.take(byte)
        state = .call(reader)
    }

    // MARK: Calls

    private mutating func begin(_ name: String, id: String? = nil) {
        space = []
        isBehindCall = true
        events.append(.callBegan(index: callCount, id: id ?? format.callID(seed: seed, index: callCount), name: name))
        callCount += 1
        held = []
    }

    private mutating func follow(_ progress: CallReader.Progress, of reader: CallReader) {
        var reader = reader
        switch progress {
        case .more: state = .call(reader)
        case .named(let name):
            let isUnmarked = format == .llama3 && !held.starts(with: marker)
            if isUnmarked, let knownNames, !knownNames.contains(name) { return giveUp() }
            begin(name)
            reader.hasBegun = true
            state = .call(reader)
        case .ended:
            if !reader.hasBegun {
                // Without arguments it is a call only where a marker says so.
                guard let name = reader.name, format != .llama3 else { return giveUp() }
                begin(name)
                events.append(.arguments(index: callCount - 1, "{}"))
            }
            flush(&reader)
            events.append(.callEnded(index: callCount - 1, isWhole: true))
            held = []
            state = isInList ? .inList : format == .hermes ? .closing : format == .llama3 ? .beforeCall : .text
        case .failed:
            guard reader.hasBegun else { return giveUp() }
            flush(&reader)
            events.append(.callEnded(index: callCount - 1, isWhole: false))
            held = Array(held.suffix(1))
            state = .text
        }
    }

    /// What looked like a call is text.
    private mutating func giveUp() {
        let bytes = held
        held = []
        state = .text
        // Its start must not be taken for one again.
        let start = bytes.starts(with: marker) ? marker.count : min(1, bytes.count)
        write(bytes[..<start])
        returned += bytes[start...].reversed()
    }

    private mutating func takeInList(_ byte: UInt8) {
        if byte == UInt8(ascii: ",") {
            state = .marked
            held = []
        } else if byte == UInt8(ascii: "]") {
            state = .text
        } else if !Self.isSpace(byte) {
            state = .text
            held.append(byte)
        }
    }

    private mutating func takeClosing(_ byte: UInt8) {
        if held.isEmpty, Self.isSpace(byte) { return }
        held.append(byte)
        if held == Self.closingMarker {
            held = []
            state = .text
        } else if !Self.closingMarker.starts(with: held) {
            returned += held.reversed()
            held = []
            state = .text
        }
    }

    private mutating func flushArguments() {
        guard case .call(var reader) = state, reader.hasBegun else { return }
        flush(&reader)
        held = []
        state = .call(reader)
    }

    private mutating func flush(_ reader: inout CallReader) {
        let text = reader.takeArguments()
        if !text.isEmpty { events.append(.arguments(index: callCount - 1, text)) }
    }

    // MARK: Text

    /// Gives out what cannot be the start of a marker any more.
    private mutating func flushText() {
        guard case .text = state else { return }
        var kept = min(held.count, marker.count - 1)
        while kept > 0, !marker.starts(with: held.suffix(kept)) { kept -= 1 }
        let certain = held.count - (kept > 0 ? kept : Text.incompleteSuffix(held))
        write(held[..<certain])
        held.removeFirst(certain)
    }

    /// White space waits for the text behind it, and goes if a call comes instead.
    private mutating func write(_ bytes: some Collection<UInt8>) {
        for byte in bytes {
            if Self.isSpace(byte) {
                if !isBehindCall { space.append(byte) }
            } else {
                isBehindCall = false
                content += space
                content.append(byte)
                space = []
            }
        }
        guard !content.isEmpty else { return }
        let text = String(decoding: content, as: UTF8.self)
        content = []
        if case .content(let before)? = events.last {
            events[events.count - 1] = .content(before + text)
        } else {
            events.append(.content(text))
        }
    }
}

extension Text {
    /// Bytes at the end that begin a character and do not complete it.
    static func incompleteSuffix(_ bytes: [UInt8]) -> Int {
        for (distance, byte) in bytes.reversed().prefix(3).enumerated() where byte & 0xC0 != 0x80 {
            return byte >= 0xC0 && width(ofLead: byte) > distance + 1 ? distance + 1 : 0
        }
        return 0
    }
}
