import Generation
import OrderedCollections

// Decode workers that have drifted apart: one query at a time moves from the slowest to the fastest, by way of the
// parking store, and loses nothing but that time.
extension Scheduler {
    /// Looks once in a while, and takes the least valuable query of the slowest decode worker out of its batch if another
    /// worker, even with it, would stay faster by ``Configuration/migrationGain``. Placement then finds it a place there.
    mutating func rebalance(at now: Instant, into actions: inout [Action]) {
        guard let interval = configuration.rebalanceInterval, now >= nextRebalance else { return }
        nextRebalance = now + interval
        guard let (slow, fast) = extremes(), let victim = leastValuable(on: slow) else { return }
        let before = expectedIteration(slow, more: 0)
        let after = expectedIteration(fast, more: 1)
        guard before / after > configuration.migrationGain else { return }
        send(.preempt(requests[victim].attempt), to: slow, into: &actions)
    }

    /// The decode workers with the longest iteration, and with the shortest of those that have a free row.
    private func extremes() -> (slow: Int, fast: Int)? {
        var slow: (worker: Int, time: Duration)?, fast: (worker: Int, time: Duration)?
        for worker in decodeWorkers.indices where decodeWorkers[worker] != nil {
            let member = membership.members[worker]
            guard member.registration.role == .decode, member.takesNewWork else { continue }
            let time = expectedIteration(worker, more: 0)
            if time > slow?.time ?? .zero { slow = (worker, time) }
            if hasFreeRow(worker), time < fast?.time ?? .seconds(1 << 40) { fast = (worker, time) }
        }
        guard let slow, let fast, slow.worker != fast.worker else { return nil }
        return (slow.worker, fast.worker)
    }

    private func expectedIteration(_ worker: Int, more: Int) -> Duration {
        membership.members[worker].expectedIteration(
            rows: (decodeWorkers[worker]?.counts.total ?? 0) + more, typical: membership.typicalPace)
    }

    /// Of those that decode there, with nothing of them left elsewhere.
    private func leastValuable(on worker: Int) -> Int? {
        let slots = (decodeWorkers[worker]?.requests ?? []).compactMap { requests.slot(of: $0) }
        let movable = slots.filter { slot in
            guard case .decoding(let decoding) = requests[slot].phase else { return false }
            return requests[slot].knowsFirstToken && decoding.route.source == nil
        }
        return movable.max { requests[$0].rank < requests[$1].rank }
    }
}
