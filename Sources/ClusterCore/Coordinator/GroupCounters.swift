/// What has become of groups of requests since the coordinator started.
public struct GroupCounters: Sendable, Hashable {
    /// Upper bounds of the sizes that are counted together, in members; the last class, without a bound, is not among them.
    public static let bounds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]

    /// Groups that have ended, by how many members they had.
    public private(set) var sizes: [UInt64]
    /// Members of those.
    public private(set) var members: UInt64

    /// - Parameter sizes: further ones are 0.
    /// - Precondition: there are not more of them than ``bounds``, and one.
    public init(sizes: [UInt64] = [], members: UInt64 = 0) {
        let count = Self.bounds.count + 1
        precondition(sizes.count <= count, "\(sizes.count) sizes")
        self.sizes = sizes + Array(repeating: 0, count: count - sizes.count)
        self.members = members
    }

    /// Groups that have ended.
    public var ended: UInt64 { sizes.reduce(0, +) }

    mutating func noteEnd(members count: Int) {
        sizes[Self.bounds.firstIndex { count <= $0 } ?? Self.bounds.count] += 1
        members += UInt64(count)
    }
}
