import JSONReader

/// How many times longer a text can become: thirty steps that each double it would turn a byte into a gigabyte, so a
/// file whose steps multiply beyond the limit is refused.
struct Growth: Sendable {
    private static let limit = 256

    private(set) var factor = 1

    init() {}

    init(replacing matcher: Matcher, with content: [UInt8]) {
        switch matcher {
        case .literal(let pattern): multiply(by: (content.count + pattern.count - 1) / pattern.count)
        // A regular expression may match nothing at all, between any two bytes.
        case .regex: multiply(by: content.count + 1)
        }
    }

    mutating func multiply(by other: Int) {
        // Both stay within the limit and one, so that the product cannot overflow.
        factor = min(factor * min(max(other, 1), Self.limit + 1), Self.limit + 1)
    }

    /// - Throws: ``TokenizerError/Defect/unboundedGrowth`` of `value`, which the steps come from.
    func check(_ value: JSONValue) throws(TokenizerError) {
        if factor > Self.limit { throw value.invalid(.unboundedGrowth) }
    }
}
