/// Who is served first: higher priority, then earlier arrival. The greatest rank is the first to give way.
public struct Rank: Sendable, Hashable, Comparable {
    public var priority: Priority
    public var request: RequestID

    public init(priority: Priority, request: RequestID) {
        self.priority = priority
        self.request = request
    }

    public static func < (a: Rank, b: Rank) -> Bool {
        a.priority != b.priority ? a.priority > b.priority : a.request < b.request
    }
}
