/// How long the answers of a job will be, learnt from those that it has had so far.
///
/// The Kaplan-Meier estimate over lengths: of the answers that came as far as some length, the share that ended there. Answers that
/// still run count as far as they have come, and those that their limit cut as far as that; so the short answers that end
/// first do not make all others look short. Lengths are counted in classes an eighth of a doubling wide. Where little is
/// known an answer is expected to last to its limit, which is what memory has to be set aside for.
public struct AnswerLengthPredictor: Sendable, Hashable {
    /// Answers that came as far as the class begins, and those of them that ended in it.
    private var reached: [Int] = []
    private var ended: [Int] = []

    /// Imagined answers that end nowhere: so many real ones weigh as much as the limit does.
    private static let doubt = 2.0

    public init() {}

    /// An answer begins.
    public mutating func noteStart() {
        makeRoom(upTo: 0)
        reached[0] += 1
    }

    /// An answer has grown.
    public mutating func noteProgress(from old: Int, to new: Int) {
        let (a, b) = (Self.lengthClass(old), Self.lengthClass(new))
        guard b > a else { return }
        makeRoom(upTo: b)
        for index in a + 1...b { reached[index] += 1 }
    }

    /// An answer has ended of itself. One that its limit cut, or that failed, is not told.
    public mutating func noteEnd(length: Int) {
        let index = Self.lengthClass(length)
        makeRoom(upTo: index)
        ended[index] += 1
    }

    /// Tokens that an answer of `generated` tokens is still expected to get; at least 1 below the limit.
    public func remaining(after generated: Int, limit: Int) -> Int {
        let begin = max(generated, 0), limit = min(limit, Int(Int32.max))
        guard limit > begin else { return 0 }
        var (expected, survival) = (0.0, 1.0)
        for index in Self.lengthClass(begin)...Self.lengthClass(limit - 1) {
            let bounds = Self.bounds(of: index)
            let (low, high) = (max(bounds.lowerBound, begin), min(bounds.upperBound, limit))
            let share = Double(high - low) / Double(bounds.count)
            // Ends lie evenly in a class.
            let loss = survival * hazard(index) * share
            expected += (survival - loss / 2) * Double(high - low)
            survival -= loss
        }
        return min(max(Int(expected.rounded()), 1), limit - begin)
    }

    private func hazard(_ index: Int) -> Double {
        index < reached.count ? Double(ended[index]) / (Double(reached[index]) + Self.doubt) : 0
    }

    private mutating func makeRoom(upTo last: Int) {
        let missing = last + 1 - reached.count
        guard missing > 0 else { return }
        reached += Array(repeating: 0, count: missing)
        ended += Array(repeating: 0, count: missing)
    }

    // MARK: Classes

    /// 0…15 one by one, then eight to a doubling.
    static func lengthClass(_ length: Int) -> Int {
        let length = min(max(length, 0), Int(Int32.max))
        guard length >= 16 else { return length }
        let exponent = Int.bitWidth - 1 - length.leadingZeroBitCount
        return (exponent - 2) * 8 + (length >> (exponent - 3)) - 8
    }

    /// Lengths of a class.
    static func bounds(of index: Int) -> Range<Int> {
        guard index >= 16 else { return index..<index + 1 }
        let exponent = index / 8 + 2, width = 1 << (exponent - 3)
        let low = (8 + index % 8) * width
        return low..<low + width
    }
}
