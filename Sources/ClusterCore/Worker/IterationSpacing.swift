/// How far apart the iterations of a batch lie while others compute prompts that could use its cores.
///
/// An iteration reads all weights, for one row as for many. Where prompts are the slower part, a batch that runs whenever it
/// has a row occupies its cores for a few rows at a time, and keeps them from the very prompts that would fill it. The batch
/// is used best when it is just about full; so the time from start to start is t·(1 + x), where t is what an iteration takes,
/// and x follows the rows that are missing (a proportional and an integral part). A full batch for which somebody waits is
/// used best at once: its iterations follow one another, which is also the soonest that a row comes free.
///
/// How long rows may wait has two bounds: `stretch`, beyond which there is next to nothing to gain (of a core's time an
/// iteration takes no more than its share); and a quarter of the time from one newcomer to the next, which is little beside what
/// a row would wait for a prompt that is computed inline, in the same step.
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
    /// When somebody last entered the batch, and how long after the one before on average.
    private var lastNewcomer: Instant?
    private var newcomerInterval: Duration?

    private static let integralGain = 0.1, proportionalGain = 4.0
    /// What is left of the excess after an iteration for whose rows somebody waits.
    private static let decay = 0.9
    /// Longest time from start to start: this multiple of an iteration, or else this share of the time between newcomers.
    private static let leastStretch = 4.0, newcomerShare = 0.25
    /// Least time worth lending: this, and this share of an iteration.
    private static let quantum = Duration.milliseconds(4), quantumShare = 0.75

    init(stretch: Double) {
        precondition(stretch >= 1, "iterations \(stretch) times as far apart as they are long")
        self.stretch = stretch
    }

    /// So many queries have entered the batch.
    mutating func noteNewcomers(_ count: Int, at now: Instant) {
        guard count > 0 else { return }
        if let lastNewcomer {
            let interval = (now - lastNewcomer) / count
            newcomerInterval = newcomerInterval.map { $0 + (interval - $0) / 8 } ?? interval
        }
        lastNewcomer = now
    }

    /// An iteration starts.
    /// - Parameters:
    ///   - time: what iterations take on average.
    ///   - free: rows that are missing, of `limit`.
    ///   - waiting: queries whose KV is whole and that have no row.
    ///   - target: from start to start; `nil`: none.
    mutating func noteStart(at now: Instant, time: Duration?, free: Int, of limit: Int, waiting: Int, target: Duration?) {
        guard stretch > 1, limit > 0, let time, time > .zero else { return }
        guard isAsked else {
            excess = max(0, excess - Self.integralGain)
            due = nil
            return
        }
        let longest = longestPeriod(time: time, target: target)
        guard waiting == 0 else {
            excess *= Self.decay
            due = nil
            return
        }
        let missing = Double(free) / Double(limit)
        excess = min(max(0, excess + Self.integralGain * (missing - 0.5 / Double(limit))), longest / time - 1)
        let period = min(time * (1 + excess + Self.proportionalGain * missing), longest)
        // What has added up makes no wait longer than the longest.
        due = min(max(due ?? now, now) + period, now + longest)
    }

    private func longestPeriod(time: Duration, target: Duration?) -> Duration {
        var longest = time * min(stretch, Self.leastStretch)
        if let newcomerInterval { longest = min(max(longest, newcomerInterval * Self.newcomerShare), time * stretch) }
        if let target { longest = min(longest, max(target, time)) }
        return longest
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
