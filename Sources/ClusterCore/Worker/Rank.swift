/// Who is served first, and who is the last to give way.
///
/// What counts is the *precedence*: the time at which a request counts as having arrived. A higher priority is worth a
/// head start, a deadline that is near another one, so that whoever waits rises past all that come later: nobody starves.
/// The coordinator settles it at acceptance; workers only compare. The greatest rank is the first to give way.
public struct Rank: Sendable, Hashable, Comparable {
    /// Milliseconds of the coordinator's clock; smaller is served first.
    public var precedence: Int64
    /// As it was when the request was given to its worker: a long wait raises it too, so that nobody is displaced for ever.
    public var priority: Priority
    public var request: RequestID

    public init(precedence: Int64 = 0, priority: Priority, request: RequestID) {
        self.precedence = precedence
        self.priority = priority
        self.request = request
    }

    public static func < (a: Rank, b: Rank) -> Bool {
        if a.precedence != b.precedence { return a.precedence < b.precedence }
        return a.priority != b.priority ? a.priority > b.priority : a.request < b.request
    }

    /// Whether this one may take the place of a `victim` that runs already. Equals wait for each other.
    public func mayDisplace(_ victim: Rank) -> Bool { victim.priority < priority }
}
