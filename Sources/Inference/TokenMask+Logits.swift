import Generation
import Grammar

extension TokenMask {
    /// The logits with minus infinity outside the mask, which is all that a mask does.
    /// - Parameter values: gets as many as there are logits; those beyond the mask's vocabulary are outside it.
    func apply(to logits: UnsafeBufferPointer<Float>, into values: inout [Float]) {
        if values.count != logits.count { values = [Float](repeating: -.infinity, count: logits.count) }
        let words = words
        values.withUnsafeMutableBufferPointer { values in
            for start in stride(from: 0, to: logits.count, by: 64) {
                let end = min(start + 64, logits.count)
                let word = start >> 6 < words.count ? words[start >> 6] : 0
                switch word {
                case 0: for id in start..<end { values[id] = -.infinity }
                case .max: for id in start..<end { values[id] = logits[id] }
                default:
                    for id in start..<end { values[id] = word >> UInt64(id - start) & 1 == 1 ? logits[id] : -.infinity }
                }
            }
        }
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
