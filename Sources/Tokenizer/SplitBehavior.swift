/// What becomes of the matches when a text is split at them.
enum SplitBehavior: String, Sendable {
    /// Dropped.
    case removed = "Removed"
    /// Pieces of their own.
    case isolated = "Isolated"
    /// The tail of the piece before, or a piece of their own after another match.
    case mergedWithPrevious = "MergedWithPrevious"
    /// The head of the piece after, or a piece of their own before another match.
    case mergedWithNext = "MergedWithNext"
    /// Pieces of their own, neighbours joined.
    case contiguous = "Contiguous"

    /// Splits `0..<count` at `matches` (ordered, disjoint); `invert` swaps the roles of matches and what lies between.
    func pieces(of count: Int, at matches: [Range<Int>], invert: Bool) -> [Range<Int>] {
        var segments: [(range: Range<Int>, isMatch: Bool)] = []
        segments.reserveCapacity(2 * matches.count + 1)
        var end = 0
        for match in matches {
            if end != match.lowerBound { segments.append((end..<match.lowerBound, invert)) }
            segments.append((match, !invert))
            end = match.upperBound
        }
        if end != count { segments.append((end..<count, invert)) }
        return merge(segments).filter { !$0.isEmpty }
    }

    private func merge(_ segments: [(range: Range<Int>, isMatch: Bool)]) -> [Range<Int>] {
        var pieces: [Range<Int>] = []
        pieces.reserveCapacity(segments.count)
        var previousIsMatch = false
        switch self {
        case .isolated: return segments.map(\.range)
        case .removed: return segments.filter { !$0.isMatch }.map(\.range)
        case .contiguous:
            for (range, isMatch) in segments {
                if isMatch == previousIsMatch, let last = pieces.popLast() {
                    pieces.append(last.lowerBound..<range.upperBound)
                } else {
                    pieces.append(range)
                }
                previousIsMatch = isMatch
            }
            return pieces
        case .mergedWithPrevious:
            for (range, isMatch) in segments {
                if isMatch, !previousIsMatch, let last = pieces.popLast() {
                    pieces.append(last.lowerBound..<range.upperBound)
                } else {
                    pieces.append(range)
                }
                previousIsMatch = isMatch
            }
            return pieces
        case .mergedWithNext:
            for (range, isMatch) in segments.reversed() {
                if isMatch, !previousIsMatch, let last = pieces.popLast() {
                    pieces.append(range.lowerBound..<last.upperBound)
                } else {
                    pieces.append(range)
                }
                previousIsMatch = isMatch
            }
            return pieces.reversed()
        }
    }
}
