/// A set of Unicode scalars as ascending ranges that do not touch. Surrogates are never in it.
struct ScalarSet: Sendable, Hashable {
    private(set) var ranges: [ClosedRange<UInt32>]

    static let all = ScalarSet([0...0x10FFFF])
    static let digits = ScalarSet([0x30...0x39])
    static let word = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    /// ECMAScript's `\s`.
    static let space = ScalarSet([
        0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F,
        0x205F...0x205F, 0x3000...0x3000, 0xFEFF...0xFEFF,
    ])
    /// What ECMAScript's dot does not match.
    static let lineEnds = ScalarSet([0x0A...0x0A, 0x0D...0x0D, 0x2028...0x2029])

    /// Any ranges below 0x110000, in any order.
    init(_ ranges: [ClosedRange<UInt32>]) {
        var merged: [ClosedRange<UInt32>] = []
        for range in ranges.flatMap(Self.withoutSurrogates).sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = merged.last, range.lowerBound <= last.upperBound + 1 {
                merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        self.ranges = merged
    }

    init(_ scalar: Unicode.Scalar) { ranges = [scalar.value...scalar.value] }

    /// The scalars of an ASCII text.
    init(characters: String) { self.init(characters.unicodeScalars.map { $0.value...$0.value }) }

    private static func withoutSurrogates(_ range: ClosedRange<UInt32>) -> [ClosedRange<UInt32>] {
        var parts: [ClosedRange<UInt32>] = []
        if range.lowerBound < 0xD800 { parts.append(range.lowerBound...min(range.upperBound, 0xD7FF)) }
        if range.upperBound > 0xDFFF { parts.append(max(range.lowerBound, 0xE000)...range.upperBound) }
        return parts
    }

    var isEmpty: Bool { ranges.isEmpty }

    func contains(_ scalar: Unicode.Scalar) -> Bool { ranges.contains { $0.contains(scalar.value) } }

    func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

    var complement: ScalarSet {
        var gaps: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if next < range.lowerBound { gaps.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= 0x10FFFF { gaps.append(next...0x10FFFF) }
        return ScalarSet(gaps)
    }

    func subtracting(_ other: ScalarSet) -> ScalarSet { complement.union(other).complement }
}

/// Ranges of bytes whose sequences are the UTF-8 of a range of scalars.
enum UTF8Ranges {
    /// Sequences of one to four ranges; each scalar of `range` is spelled by exactly one of them.
    static func sequences(of range: ClosedRange<UInt32>) -> [[ClosedRange<UInt8>]] {
        var found: [[ClosedRange<UInt8>]] = []
        var lower = range.lowerBound
        for (length, last) in [(1, UInt32(0x7F)), (2, 0x7FF), (3, 0xFFFF), (4, 0x10FFFF)] where lower <= range.upperBound && lower <= last {
            let upper = min(range.upperBound, last)
            split(lower, upper, length: length, prefix: [], into: &found)
            lower = upper + 1
        }
        return found
    }

    private static let leads: [UInt32] = [0, 0, 0xC0, 0xE0, 0xF0]

    /// Scalars that are spelled by `length` bytes; below the lead, only their low bits count.
    private static func split(
        _ lower: UInt32, _ upper: UInt32, length: Int, prefix: [ClosedRange<UInt8>], into found: inout [[ClosedRange<UInt8>]]
    ) {
        let mark = prefix.isEmpty ? leads[length] : 0x80
        let shift = UInt32(6 * (length - 1)), low: UInt32 = (1 << shift) - 1
        func byte(_ scalar: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: mark | scalar >> shift) }
        guard length > 1 else {
            found.append(prefix + [byte(lower)...byte(upper)])
            return
        }
        let first = lower >> shift, last = upper >> shift
        if first == last {
            split(lower & low, upper & low, length: length - 1, prefix: prefix + [byte(lower)...byte(lower)], into: &found)
            return
        }
        var middleFirst = first, middleLast = last
        if lower & low != 0 {
            split(lower & low, low, length: length - 1, prefix: prefix + [byte(lower)...byte(lower)], into: &found)
            middleFirst += 1
        }
        if upper & low != low { middleLast -= 1 }
        if middleFirst <= middleLast {
            let range = byte(middleFirst << shift)...byte(middleLast << shift)
            found.append(prefix + [range] + Array(repeating: 0x80...0xBF, count: length - 1))
        }
        if upper & low != low {
            split(0, upper & low, length: length - 1, prefix: prefix + [byte(upper)...byte(upper)], into: &found)
        }
    }
}
