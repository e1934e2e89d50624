/// Finds stop strings in an answer that arrives piece by piece, and holds back text that may be the beginning of one.
///
/// What is released never contains any part of a stop string that is completed later, and does not depend on how
/// many pieces a message carried as long as each token's text is one piece.
public struct StopMatcher: Sendable {
    private let stops: [[UInt8]]
    private let includesStop: Bool
    private var held: [UInt8] = []

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
            held = []
            return .stopped(before)
        }
        let keep = heldBackCount()
        let released = String(decoding: held.dropLast(keep), as: UTF8.self)
        held.removeFirst(held.count - keep)
        return .text(released)
    }

    /// The text still held back when the answer ended for another reason.
    public mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }

    /// The first stop string; of several that begin there, the one named first.
    private func firstMatch() -> Range<Int>? {
        for start in held.indices {
            if let stop = stops.first(where: { held[start...].starts(with: $0) }) { return start..<start + stop.count }
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
