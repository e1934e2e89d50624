import Generation
import Grammar

extension TokenMask {
    /// The logits with minus infinity outside the mask, which is all that a mask does.
    /// - Parameter values: gets as many as there are logits; those beyond the mask's vocabulary are outside it.
    func apply(to logits: UnsafeBufferPointer<Float>, into values: inout [Float]) {
        if values.count != logits.count { values = [Float](repeating: -.infinity, count: logits.count) }
        let words = words
        let bits: SIMD16<UInt32> = [
            1, 2, 4, 8, 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15,
        ]
        values.withUnsafeMutableBufferPointer { values in
            guard let from = logits.baseAddress, let to = values.baseAddress else { return }
            for start in stride(from: 0, to: logits.count, by: 64) {
                let end = min(start + 64, logits.count)
                let word = start >> 6 < words.count ? words[start >> 6] : 0
                switch word {
                case 0: for id in start..<end { to[id] = -.infinity }
                case .max: for id in start..<end { to[id] = from[id] }
                case _ where end - start == 64:
                    for lane in 0..<4 {
                        Self.select(16 * lane, of: word, bits, from: UnsafeRawPointer(from + start), to: UnsafeMutableRawPointer(to + start))
                    }
                default: for id in start..<end { to[id] = word >> UInt64(id - start) & 1 == 1 ? from[id] : -.infinity }
                }
            }
        }
    }

    /// Sixteen at a time, from the `first`: a loop that looks at each bit takes ten times as long.
    @inline(__always)
    private static func select(
        _ first: Int, of word: UInt64, _ bits: SIMD16<UInt32>, from: UnsafeRawPointer, to: UnsafeMutableRawPointer
    ) {
        let part = SIMD16<UInt32>(repeating: UInt32(truncatingIfNeeded: word >> UInt64(first) & 0xFFFF))
        let values = from.loadUnaligned(fromByteOffset: 4 * first, as: SIMD16<Float>.self)
        let chosen = values.replacing(with: -.infinity, where: (part & bits) .== 0)
        to.storeBytes(of: chosen, toByteOffset: 4 * first, as: SIMD16<Float>.self)
    }

    /// The token, if the mask leaves just one: nothing has to be computed then.
    /// - Throws: ``SamplingError`` as the sampler would, if there is none or its logit is not finite.
    func onlyChoice(among logits: UnsafeBufferPointer<Float>) throws(SamplingError) -> TokenID? {
        var found: Int?
        for (index, word) in words.enumerated() where word != 0 {
            guard found == nil, word.nonzeroBitCount == 1 else { return nil }
            found = index * 64 + word.trailingZeroBitCount
        }
        guard let found, found < logits.count else { throw .emptyMask }
        let logit = logits[found]
        if logit.isNaN || logit == .infinity { throw .notANumber(token: TokenID(found)) }
        if logit == -.infinity { throw .nothingToChoose }
        return TokenID(found)
    }
}
