import Generation
import OrderedCollections

// A batch that is not full, beside prompts that wait for cores.
extension DecodeRole {
    /// Until when the next iteration had better wait, so that prompts are computed on this worker's cores meanwhile; `nil`:
    /// it should start at once. To be asked before ``nextIteration(at:)``.
    ///
    /// See ``IterationSpacing``. A batch that somebody waits for never waits itself, full or not, and neither does one in which
    /// somebody gives way or is to come back, unless all of it gives way to prompts of more urgent queries.
    /// - Parameter areOthersKeen: whether others would compute prompts there.
    public mutating func lendingEnd(at now: Instant, areOthersKeen: Bool) -> Instant? {
        let end = spacing.end(at: now, time: clock.average, areOthersKeen: areOthersKeen, isLent: lentSince != nil)
        guard restingSince != nil, deferred.isEmpty, ready.isEmpty, !batch.slots.contains(where: { $0?.isPreempted == true })
        else { return nil }
        if areOthersKeen, let end = endForUrgentPrompts, end > now { return end }
        return parked.isEmpty ? end : nil
    }

    /// While rows of the lowest priority have the batch for themselves and somebody more urgent waits for a prompt, the cores are
    /// better used for that.
    private var endForUrgentPrompts: Instant? {
        guard configuration.backgroundShare < .infinity, configuration.lendingStretch > 1, let restingSince, let time = clock.average,
            urgentRowCount == 0, awaitsUrgentPrompt
        else { return nil }
        return restingSince + time * (configuration.lendingStretch - 1)
    }

    private var awaitsUrgentPrompt: Bool { transfers.values.contains { $0.query.rank.priority > .low } }

    private var urgentRowCount: Int { batch.slots.reduce(0) { $0 + ($1.map { $0.rank.priority > .low } == true ? 1 : 0) } }

    /// The cores are lent from now until the next iteration.
    public mutating func noteLending(at now: Instant) {
        if lentSince == nil, restingSince != nil { lentSince = now }
    }

    /// After embedding, as an iteration starts.
    mutating func noteSpacing(newcomers: Int, at now: Instant) {
        spacing.noteNewcomers(newcomers, at: now)
        let limit = scale.isOff ? configuration.maxSequences : min(scale.rowLimit, configuration.maxSequences)
        // Where prompts of more urgent queries are under way, rows of the lowest priority are as good as none.
        let lendsTheirs = configuration.backgroundShare < .infinity && awaitsUrgentPrompt
        spacing.noteStart(
            at: now, time: clock.average, free: max(0, limit - (lendsTheirs ? urgentRowCount : batch.count)), of: limit, waiting: ready.count,
            target: scale.configuration.target)
    }
}
