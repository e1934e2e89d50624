import Foundation

/// The normalization forms of Unicode Standard Annex #15, as of Unicode 9.0.
///
/// That is the version of the reference implementation; by pinning it, the tokens of a text do not depend on the
/// Unicode version of the runtime either. Foundation's own normalization of whole strings is not used: it takes some
/// characters above U+FFFF for others when composing, and leaves marks out of order in the compatibility forms.
/// Only the decompositions of single characters come from it.
enum UnicodeForm: String, Sendable {
    case nfc = "NFC", nfd = "NFD", nfkc = "NFKC", nfkd = "NFKD"

    private var isComposed: Bool { self == .nfc || self == .nfkc }

    /// `text` is valid UTF-8, and so is the result.
    func normalize(_ text: [UInt8]) -> [UInt8] {
        // ASCII is the same in every form.
        if text.allSatisfy({ $0 < 0x80 }) { return text }
        // So is all below the combining marks in the commonest one: lead byte CC is U+0300.
        if self == .nfc, text.allSatisfy({ $0 < 0xCC }) { return text }
        let decomposed = decompose(text)
        let scalars = isComposed ? Self.compose(decomposed) : decomposed
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        for scalar in scalars {
            if scalar.isASCII { result.append(UInt8(truncatingIfNeeded: scalar.value)) } else { result += Array(scalar.utf8) }
        }
        return result
    }

    /// Every scalar decomposed, and marks in canonical order.
    private func decompose(_ text: [UInt8]) -> [Unicode.Scalar] {
        let table = self == .nfc || self == .nfd ? Decompositions.canonical : Decompositions.compatibility
        var scalars: [Unicode.Scalar] = []
        scalars.reserveCapacity(text.count)
        for (scalar, _) in ScalarRanges(text[...]) {
            if scalar.value < 0xA0 {
                scalars.append(scalar)
            } else if let parts = table[scalar] ?? Hangul.decompose(scalar) {
                scalars += parts
            } else {
                scalars.append(scalar)
            }
        }
        Self.order(&scalars)
        return scalars
    }

    /// Sorts each run of marks by combining class, equals in their order.
    private static func order(_ scalars: inout [Unicode.Scalar]) {
        var start = 0
        while start < scalars.count {
            var end = start
            while end < scalars.count, scalars[end].combiningClass != 0 { end += 1 }
            if end - start > 1 {
                let run = scalars[start..<end].enumerated().sorted {
                    ($0.element.combiningClass, $0.offset) < ($1.element.combiningClass, $1.offset)
                }
                scalars.replaceSubrange(start..<end, with: run.map(\.element))
            }
            start = end + 1
        }
    }

    /// Joins each starter with the marks and letters after it that are not blocked.
    private static func compose(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        result.reserveCapacity(scalars.count)
        var starter: Int?
        var lastClass: UInt8 = 0
        for scalar in scalars {
            let combiningClass = scalar.combiningClass
            if let place = starter, place == result.count - 1 || lastClass < combiningClass,
                let composite = Hangul.compose(result[place], scalar) ?? Compositions.composite(result[place], scalar) {
                result[place] = composite
                continue
            }
            if combiningClass == 0 { starter = result.count }
            lastClass = combiningClass
            result.append(scalar)
        }
        return result
    }
}

extension Unicode.Scalar {
    /// Whether Unicode 9.0 already had the character; later ones count as unassigned.
    fileprivate var isPinned: Bool {
        guard let age = properties.age else { return false }
        return (age.major, age.minor) <= (9, 0)
    }

    fileprivate var combiningClass: UInt8 {
        // No marks below U+0300; and no ideographs or syllables are marks.
        if value < 0x300 || (0x3400...0xA66E).contains(value) || (0xAC00...0xD7FF).contains(value) { return 0 }
        let combiningClass = properties.canonicalCombiningClass.rawValue
        return combiningClass != 0 && isPinned ? combiningClass : 0
    }
}

/// The full decompositions of all characters but the Hangul syllables.
private enum Decompositions {
    static let canonical = table { $0.decomposedStringWithCanonicalMapping }
    static let compatibility = table { $0.decomposedStringWithCompatibilityMapping }

    /// Where characters with decompositions are, generously.
    private static let ranges: [ClosedRange<UInt32>] = [
        0xA0...0x33FF, 0xA640...0xABFF, 0xF900...0xFFFF, 0x10000...0x11FFF, 0x16000...0x16FFF, 0x1BC00...0x1F2FF, 0x1FB00...0x1FBFF,
        0x2F800...0x2FA1F,
    ]

    private static func table(_ decompose: (String) -> String) -> [Unicode.Scalar: [Unicode.Scalar]] {
        var table: [Unicode.Scalar: [Unicode.Scalar]] = [:]
        for scalar in ranges.joined().lazy.compactMap(Unicode.Scalar.init) where scalar.isPinned {
            let parts = Array(decompose(String(scalar)).unicodeScalars)
            if parts != [scalar] { table[scalar] = parts }
        }
        return table
    }
}

/// The characters that pairs of characters make: the canonical decompositions backwards.
private enum Compositions {
    private struct Pair: Hashable {
        let first: Unicode.Scalar
        let second: Unicode.Scalar
    }

    private static let composites: [Pair: Unicode.Scalar] = {
        let decompositions = Decompositions.canonical.filter { scalar, parts in
            parts.count > 1 && !scalar.properties.isFullCompositionExclusion
        }
        let whole = Dictionary(decompositions.map { ($1, $0) }) { first, _ in first }
        var composites: [Pair: Unicode.Scalar] = [:]
        for (composite, parts) in decompositions {
            guard let last = parts.last else { continue }
            let rest = Array(parts.dropLast())
            guard let first = rest.count == 1 ? rest[0] : whole[rest] else { continue }
            composites[Pair(first: first, second: last)] = composite
        }
        return composites
    }()

    /// All that can come second; most characters are ruled out by this alone.
    private static let seconds = Set(composites.keys.map(\.second))

    static func composite(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
        guard second.value >= 0x300, seconds.contains(second) else { return nil }
        return composites[Pair(first: first, second: second)]
    }
}

/// Hangul syllables, by arithmetic (The Unicode Standard, section 3.12).
private enum Hangul {
    private static let (syllables, leads, vowels, trails): (UInt32, UInt32, UInt32, UInt32) = (0xAC00, 0x1100, 0x1161, 0x11A7)
    private static let (leadCount, vowelCount, trailCount): (UInt32, UInt32, UInt32) = (19, 21, 28)

    static func decompose(_ scalar: Unicode.Scalar) -> [Unicode.Scalar]? {
        guard (syllables..<syllables + leadCount * vowelCount * trailCount).contains(scalar.value) else { return nil }
        let index = scalar.value - syllables
        let trail = index % trailCount
        let parts = [leads + index / (vowelCount * trailCount), vowels + index / trailCount % vowelCount, trails + trail]
        return parts.prefix(trail == 0 ? 2 : 3).compactMap(Unicode.Scalar.init)
    }

    static func compose(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
        if (leads..<leads + leadCount).contains(first.value), (vowels..<vowels + vowelCount).contains(second.value) {
            return Unicode.Scalar(syllables + ((first.value - leads) * vowelCount + second.value - vowels) * trailCount)
        }
        let syllable = first.value &- syllables
        guard syllable < leadCount * vowelCount * trailCount, syllable % trailCount == 0,
            (trails + 1..<trails + trailCount).contains(second.value)
        else { return nil }
        return Unicode.Scalar(first.value + second.value - trails)
    }
}
