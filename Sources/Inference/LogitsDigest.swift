/// FNV-1a (64 bits) over bit patterns: tells whether two rows of logits are equal to the bit.
public struct BitsDigest: Sendable, Hashable {
    public private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    public init() {}

    public mutating func combine(_ values: UnsafeBufferPointer<Float>) {
        for value in values {
            var bits = value.bitPattern
            for _ in 0..<4 {
                self.value = (self.value ^ UInt64(bits & 0xff)) &* 0x0000_0100_0000_01b3
                bits >>= 8
            }
        }
    }

    public mutating func combine(_ values: [Float]) { values.withUnsafeBufferPointer { combine($0) } }
}

/// Digest of one row of logits, `[vocabulary]`.
public func logitsDigest(_ logits: UnsafeBufferPointer<Float>) -> UInt64 {
    var digest = BitsDigest()
    digest.combine(logits)
    return digest.value
}
