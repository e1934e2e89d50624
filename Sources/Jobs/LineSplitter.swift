/// Cuts bytes that come in pieces into lines, and keeps no more than one line.
struct LineSplitter: Sendable {
    private let limit: Int
    private var rest: [UInt8] = []
    /// Lines that were begun, empty ones included.
    private(set) var lineCount = 0

    /// - Parameter limit: bytes of a line.
    init(limit: Int) { self.limit = limit }

    struct Line: Sendable, Hashable {
        /// Counted from 0.
        var number: Int
        var text: [UInt8]
    }

    /// A line is longer than the limit.
    struct TooLong: Error, Hashable {
        /// Counted from 0.
        var number: Int
    }

    /// - Returns: the lines that `bytes` complete, without their ends (`\n` or `\r\n`) and without those that are blank.
    mutating func take(_ bytes: [UInt8]) throws(TooLong) -> [Line] {
        var lines: [Line] = []
        var piece = bytes[...]
        while let end = piece.firstIndex(of: UInt8(ascii: "\n")) {
            try add(piece[..<end])
            if let line = endLine() { lines.append(line) }
            piece = piece[(end + 1)...]
        }
        try add(piece)
        return lines
    }

    /// - Returns: the last line, if nothing ended it.
    mutating func finish() -> Line? { rest.isEmpty ? nil : endLine() }

    private mutating func add(_ piece: ArraySlice<UInt8>) throws(TooLong) {
        // One more for a carriage return.
        guard rest.count + piece.count <= limit + 1 else { throw TooLong(number: lineCount) }
        rest += piece
    }

    private mutating func endLine() -> Line? {
        defer {
            rest.removeAll(keepingCapacity: rest.count <= 1 << 20)
            lineCount += 1
        }
        if rest.last == UInt8(ascii: "\r") { rest.removeLast() }
        let isBlank = rest.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
        return isBlank ? nil : Line(number: lineCount, text: rest)
    }
}
