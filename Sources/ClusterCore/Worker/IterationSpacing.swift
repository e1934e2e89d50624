/// How far apart the iterations of a batch lie while others compute prompts that could use its cores.
///
/// An iteration reads all weights, for one row as for many. Where prompts are the slower part, a batch that runs whenever it
/// has a row occupies its cores for a few rows at a time, and keeps them from the very prompts that would fill it. The batch
/// is used best when it is just about full; so the time from start to start is t·(1 + x), where t is what an iteration takes,
/// and x follows the rows that are missing (a proportional and an integral part), up to `stretch` − 1. Query after query that
/// waits for a row halves it.
///
/// Cores that go to others and come back cost some time. What an iteration is early therefore adds up, and is lent in one
/// piece when it is worth it.
struct IterationSpacing: Sendable {
    /// Longest time from start to start as a multiple of what an iteration takes; 1: never apart.
    let stretch: Double
    /// The integral part of x.
    private(set) var excess = 0.0
    /// When the next iteration should start.
    private var due: Instant?
    /// Whether others had use for the cores when the last iteration ended.
    private var isAsked = false

    private static let gain = 0.1
    /// Least time worth lending: this, and this share of an iteration.
    private static let quantum = Duration.milliseconds(4), quantumShare = 0.75

    init(stretch: Double) {
        precondition(stretch >= 1, "iterations \(stretch) times as far apart as they are long")
        self.stretch = stretch
    }

    /// An iteration starts.
    /// - Parameters:
    ///   - time: what iterations take on average.
    ///   - free: rows that are missing, of `limit`.
    ///   - waiting: queries whose KV is whole and that have no row.
    ///   - target: from start to start; `nil`: none.
    mutating func noteStart(at now: Instant, time: Duration?, free: Int, of limit: Int, waiting: Int, target: Duration?) {
        guard stretch > 1, limit > 0, let time else { return }
        guard isAsked else {
            excess = max(0, excess - Self.gain)
            due = nil
            return
        }
        if waiting > 0 {
            excess /= 2
        } else {
            excess = min(max(0, excess + Self.gain * (Double(free) - 0.5) / Double(limit)), stretch - 1)
        }
        var longest = time * stretch
        if let target { longest = min(longest, max(target, time)) }
        let period = min(time * (1 + excess + Double(free) / Double(limit)), longest)
        // What has added up makes no wait longer than the longest.
        due = min(max(due ?? now, now) + period, now + longest)
    }

    /// Until when the next iteration had better wait; `nil`: it should start at once.
    /// - Parameters:
    ///   - areOthersKeen: whether others would compute prompts on these cores.
    ///   - isLent: whether they do already.
    mutating func end(at now: Instant, time: Duration?, areOthersKeen: Bool, isLent: Bool) -> Instant? {
        isAsked = areOthersKeen
        guard areOthersKeen, let due, let time, due > now else { return nil }
        return isLent || due - now >= max(Self.quantum, time * Self.quantumShare) ? due : nil
    }
}
