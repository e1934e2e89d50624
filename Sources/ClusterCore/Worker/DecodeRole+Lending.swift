import Generation
import OrderedCollections

// A batch that is not full, beside prompts that wait for cores.
extension DecodeRole {
    /// Until when the next iteration had better wait, so that prompts are computed on this worker's cores meanwhile; `nil`:
    /// it should start at once. To be asked before ``nextIteration(at:)``.
    ///
    /// See ``IterationSpacing``. A batch that somebody waits for never waits itself, full or not, and neither does one in which
    /// somebody gives way or is to come back.
    /// - Parameter areOthersKeen: whether others would compute prompts there.
    public mutating func lendingEnd(at now: Instant, areOthersKeen: Bool) -> Instant? {
        let end = spacing.end(at: now, time: clock.average, areOthersKeen: areOthersKeen, isLent: lentSince != nil)
        guard restingSince != nil, parked.isEmpty, deferred.isEmpty, ready.isEmpty,
            !batch.slots.contains(where: { $0?.isPreempted == true })
        else { return nil }
        return end
    }

    /// The cores are lent from now until the next iteration.
    public mutating func noteLending(at now: Instant) {
        if lentSince == nil, restingSince != nil { lentSince = now }
    }

    /// After embedding, as an iteration starts.
    mutating func noteSpacing(newcomers: Int, at now: Instant) {
        spacing.noteNewcomers(newcomers, at: now)
        let limit = scale.isOff ? configuration.maxSequences : min(scale.rowLimit, configuration.maxSequences)
        spacing.noteStart(
            at: now, time: clock.average, free: max(0, limit - batch.count), of: limit, waiting: ready.count,
            target: scale.configuration.target)
    }
}
