/// Finds stop strings in an answer that arrives piece by piece, and holds back text that may be the beginning of one.
///
/// What is released never contains any part of a stop string that is completed later, and does not depend on how
/// many pieces a message carried as long as each token's text is one piece.
public struct StopMatcher: Sendable {
    private let stops: [[UInt8]]
    private let includesStop: Bool
    private var held: [UInt8] = []
    /// How many of the held bytes, from the first on, no stop string may end in.
    private var exemptCount = 0

    /// Empty strings are ignored.
    /// - Parameter includesStop: the stop string itself is released too.
    public init(_ stops: [String], includesStop: Bool = false) {
        self.includesStop = includesStop
        self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }
    }

    public enum Outcome: Sendable, Hashable {
        /// Text that can be shown now; may be empty.
        case text(String)
        /// A stop string was completed: the rest of the text before it, or up to its end. Nothing more is to be appended.
        case stopped(String)
    }

    public mutating func append(_ text: String) -> Outcome {
        guard !stops.isEmpty else { return .text(text) }
        held += Array(text.utf8)
        if let match = firstMatch() {
            let before = String(decoding: held[..<(includesStop ? match.upperBound : match.lowerBound)], as: UTF8.self)
            (held, exemptCount) = ([], 0)
            return .stopped(before)
        }
        return .text(release())
    }

    /// Takes text that cannot complete a stop string, but may be the beginning of one.
    /// - Returns: what can be shown now.
    public mutating func pass(_ text: String) -> String {
        guard !stops.isEmpty else { return text }
        held += Array(text.utf8)
        exemptCount = held.count
        return release()
    }

    private mutating func release() -> String {
        let count = held.count - heldBackCount()
        defer {
            held.removeFirst(count)
            exemptCount = max(0, exemptCount - count)
        }
        return String(decoding: held.prefix(count), as: UTF8.self)
    }

    /// The text still held back when the answer ended for another reason.
    public mutating func finish() -> String {
        defer { (held, exemptCount) = ([], 0) }
        return String(decoding: held, as: UTF8.self)
    }

    /// The first stop string; of several that begin there, the one named first.
    private func firstMatch() -> Range<Int>? {
        for start in held.indices {
            let stop = stops.first { start + $0.count > exemptCount && held[start...].starts(with: $0) }
            if let stop { return start..<start + stop.count }
        }
        return nil
    }

    /// Length of the longest end of the held text that begins a stop string.
    private func heldBackCount() -> Int {
        // A stop string begins with a whole character, so an end that matches one begins at a character, too.
        let longest = stops.reduce(0) { max($0, $1.count - 1) }
        return (0...min(longest, held.count)).reversed().first { count in
            stops.contains { $0.count > count && $0.starts(with: held.suffix(count)) }
        } ?? 0
    }
}
