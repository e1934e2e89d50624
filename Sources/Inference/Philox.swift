/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a random function of a key
/// and a counter, with no state to lose in a crash.
struct Philox: Sendable {
    let key: UInt64

    /// Four random words for `counter`.
    func callAsFunction(_ counter: SIMD4<UInt32>) -> SIMD4<UInt32> {
        var x = counter
        var k0 = UInt32(truncatingIfNeeded: key), k1 = UInt32(truncatingIfNeeded: key >> 32)
        for _ in 0..<10 {
            let a = UInt64(x[0]) * 0xD251_1F53, b = UInt64(x[2]) * 0xCD9E_8D57
            x = SIMD4(
                UInt32(truncatingIfNeeded: b >> 32) ^ x[1] ^ k0, UInt32(truncatingIfNeeded: b),
                UInt32(truncatingIfNeeded: a >> 32) ^ x[3] ^ k1, UInt32(truncatingIfNeeded: a))
            k0 &+= 0x9E37_79B9
            k1 &+= 0xBB67_AE85
        }
        return x
    }

    /// A number in [0, 1), a multiple of 2^-53, for draw `draw` of token `index` of choice `choice`.
    func uniform(choice: UInt32, index: UInt32, draw: UInt32) -> Double {
        let words = self(SIMD4(choice, index, draw, 0))
        let bits = UInt64(words[0]) << 32 | UInt64(words[1])
        return Double(bits >> 11) * 0x1p-53
    }
}
