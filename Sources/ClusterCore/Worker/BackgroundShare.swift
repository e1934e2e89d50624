/// How often rows of the lowest priority step beside more urgent ones.
///
/// An iteration takes the longer the more rows it has, so that rows of a batch job slow down everybody who waits for single
/// tokens. What they may add to the time of others' iterations is a share of it: each iteration of the others alone saves up
/// that share, and when it has paid for one of all rows together, there is one. Among themselves they step as often as they can.
struct BackgroundShare: Sendable {
    /// Of the time of others' iterations; infinite: no bound.
    let share: Double
    /// Seconds.
    private var saved = 0.0

    init(_ share: Double) {
        precondition(share > 0, "a share of \(share) lets nobody step")
        self.share = share
    }

    /// Whether all rows step, and not the others alone.
    /// - Parameters:
    ///   - others: rows of higher priority.
    ///   - all: those and the rows of the lowest.
    mutating func admits(beside others: Int, all: Int, _ pace: BatchPace) -> Bool {
        guard share < .infinity, others > 0, others < all, let own = pace.iterationTime(rows: others),
            let together = pace.iterationTime(rows: all)
        else { return true }
        let price = max(0, together - own)
        // No more than one step is ever saved up.
        saved = min(saved + share * own, price)
        guard saved >= price else { return false }
        saved = 0
        return true
    }
}
