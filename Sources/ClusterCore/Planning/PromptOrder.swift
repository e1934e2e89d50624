import Generation

/// The prompts of a job in lexicographic order, with how much neighbours have in common: all that a trie over them says, in
/// two numbers a prompt and without a copied token.
///
/// The last token of a prompt does not count. It is never shared, because the step that computes it yields the first token of
/// the answer; so equal prompts share all but one token, and a prompt that begins another one shares all but its last.
///
/// Merge sort that carries the common lengths along (Ng and Kakehi, "Merging string sequences by longest common prefixes",
/// 2008): a token is looked at again only where two prompts begin to differ, so that the work is
/// O(tokens that distinguish + n log n), however long the shared prefixes are.
struct PromptOrder: Sendable {
    /// Indexes of the prompts; equal ones in the order given.
    let order: [Int32]
    /// Tokens that the prompt at a place has in common with the one before it; 0 at the first.
    let common: [Int32]

    /// A prompt in a sorted run, and what it has in common with the one before it there.
    private struct Place {
        var prompt: Int32
        var common: Int32
    }

    /// - Precondition: fewer than 2³¹ prompts, each with fewer than 2³¹ tokens.
    init(_ prompts: [[TokenID]]) {
        precondition(prompts.count <= Int(Int32.max), "\(prompts.count) prompts")
        var places = prompts.indices.map { Place(prompt: Int32($0), common: 0) }
        var merged = places
        var width = 1
        while width < places.count {
            for start in stride(from: 0, to: places.count, by: 2 * width) {
                let middle = min(start + width, places.count), end = min(start + 2 * width, places.count)
                Self.merge(places, start..<middle, middle..<end, into: &merged, prompts)
            }
            swap(&places, &merged)
            width *= 2
        }
        order = places.map(\.prompt)
        common = places.map(\.common)
    }

    /// Of two heads of runs, the one with more in common with the last prompt put out comes first; only where they have
    /// equally much in common do their tokens decide, from there on.
    private static func merge(
        _ places: [Place], _ left: Range<Int>, _ right: Range<Int>, into merged: inout [Place], _ prompts: [[TokenID]]
    ) {
        var (l, r, out) = (left.lowerBound, right.lowerBound, left.lowerBound)
        // What the heads have in common with the last one put out.
        var (leftCommon, rightCommon) = (Int32(0), Int32(0))
        while l < left.upperBound, r < right.upperBound {
            if leftCommon == rightCommon {
                let (a, b) = (places[l].prompt, places[r].prompt)
                let (common, isAfter) = compare(prompts[Int(a)], prompts[Int(b)], from: Int(leftCommon))
                if isAfter { leftCommon = Int32(common) } else { rightCommon = Int32(common) }
                // The one put out keeps what it has in common with its predecessor, which is what both had.
                merged[out] = Place(prompt: isAfter ? b : a, common: isAfter ? rightCommon : leftCommon)
                if isAfter {
                    r += 1
                    rightCommon = r < right.upperBound ? places[r].common : 0
                } else {
                    l += 1
                    leftCommon = l < left.upperBound ? places[l].common : 0
                }
            } else if leftCommon > rightCommon {
                merged[out] = Place(prompt: places[l].prompt, common: leftCommon)
                l += 1
                leftCommon = l < left.upperBound ? places[l].common : 0
            } else {
                merged[out] = Place(prompt: places[r].prompt, common: rightCommon)
                r += 1
                rightCommon = r < right.upperBound ? places[r].common : 0
            }
            out += 1
        }
        if l < left.upperBound {
            merged[out] = Place(prompt: places[l].prompt, common: leftCommon)
            for index in l + 1..<left.upperBound { merged[out + index - l] = places[index] }
        } else if r < right.upperBound {
            merged[out] = Place(prompt: places[r].prompt, common: rightCommon)
            for index in r + 1..<right.upperBound { merged[out + index - r] = places[index] }
        }
    }

    /// - Parameter start: that many tokens are known to be equal.
    /// - Returns: tokens in common without the last ones, and whether `a` comes after `b`. Equal ones keep their order.
    private static func compare(_ a: [TokenID], _ b: [TokenID], from start: Int) -> (common: Int, isAfter: Bool) {
        let (aCount, bCount) = (max(a.count - 1, 0), max(b.count - 1, 0))
        let end = min(aCount, bCount)
        return a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                var index = start
                while index < end, a[index] == b[index] { index += 1 }
                return index < end ? (index, a[index] > b[index]) : (end, aCount > bCount)
            }
        }
    }
}
