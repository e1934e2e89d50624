/// Compiled grammars by their constraint; those that were used longest ago leave first. A value, for one owner.
public struct GrammarCache<Entry: Sendable>: Sendable {
    private struct Kept: Sendable {
        var entry: Entry
        var lastUse: UInt64
    }

    public let capacity: Int
    private var kept: [OutputConstraint: Kept] = [:]
    private var uses: UInt64 = 0

    public init(capacity: Int) {
        precondition(capacity >= 1, "capacity \(capacity)")
        self.capacity = capacity
    }

    public var count: Int { kept.count }

    /// What is kept for the constraint; counts as a use.
    public mutating func entry(of constraint: OutputConstraint) -> Entry? {
        guard kept[constraint] != nil else { return nil }
        uses += 1
        kept[constraint]?.lastUse = uses
        return kept[constraint]?.entry
    }

    /// Changes what is kept for the constraint, in its place; `nil` if there is nothing. Counts as a use.
    public mutating func update<Result>(_ constraint: OutputConstraint, _ body: (inout Entry) -> Result) -> Result? {
        guard let index = kept.index(forKey: constraint) else { return nil }
        uses += 1
        kept.values[index].lastUse = uses
        return body(&kept.values[index].entry)
    }

    /// Keeps `entry`, and drops another one if there is no room.
    public mutating func insert(_ entry: Entry, for constraint: OutputConstraint) {
        uses += 1
        kept[constraint] = Kept(entry: entry, lastUse: uses)
        // Uses are numbered without repetition, so which one leaves does not depend on the table's order.
        if kept.count > capacity, let oldest = kept.min(by: { $0.value.lastUse < $1.value.lastUse }) { kept[oldest.key] = nil }
    }

    public mutating func remove(_ constraint: OutputConstraint) { kept[constraint] = nil }
}
