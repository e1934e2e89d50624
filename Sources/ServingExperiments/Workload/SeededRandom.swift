/// SplitMix64: equal seeds give equal workloads, on every machine and with every version of the standard library.
struct SeededRandom {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }

    /// 0 ..< 1, in steps of 2⁻⁵³.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// 0 ..< `count`; the bias of the multiplication is below 2⁻³² for the counts that occur here.
    mutating func below(_ count: Int) -> Int {
        precondition(count > 0, "one of \(count)")
        return Int(next().multipliedFullWidth(by: UInt64(count)).high)
    }
}
