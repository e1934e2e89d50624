import Generation
import OrderedCollections

// What the coordinator wants: new prompts, new destinations, no more of this one.
extension PrefillRole {
    mutating func receive(_ message: CoordinatorMessage, at now: Instant, into actions: inout [Action]) {
        switch message {
        case .prefill(let order): accept(order, at: now, into: &actions)
        case .retarget(let from, let to, let destination):
            retarget(from, as: to, to: destination, at: now, into: &actions)
        case .cancel(let attempt):
            if isHeld(attempt) { drop(attempt.request, into: &actions) }
        case .grant(let grant):
            actions.append(.report(.decodeFailed(grant.sequence.attempt, .refused("this is a prefill worker"))))
        case .releaseGroup(let group): pool.unpin(group)
        case .preempt, .resume: break  // Nothing is decoded here.
        case .registered, .registrationRefused, .registerAgain: break  // The control link's business.
        }
    }

    func isHeld(_ attempt: AttemptID) -> Bool { sequences[attempt.request]?.order.attempt == attempt }

    private mutating func accept(_ order: PrefillOrder, at now: Instant, into actions: inout [Action]) {
        let attempt = order.sequence.attempt
        if let held = sequences[attempt.request]?.order.attempt {
            guard held < attempt else { return }
            drop(attempt.request, into: &actions)
        }
        if let problem = flaw(of: order.sequence) ?? flaw(of: order) {
            counters.failures += 1
            actions.append(.report(.prefillFailed(attempt, .computation(problem))))
            return
        }
        var sequence = PrefillSequence(
            order, geometry: configuration.geometry, timings: configuration.timings, at: now)
        sequence.leased = lease(order.sequence)
        queue.insert(sequence.rank, tokenCount: order.sequence.tokens.count)
        urgentTraffic.note(order.sequence.priority, at: now)
        sequences[attempt.request] = sequence
        counters.transfers += 1
        advanceTransfer(of: attempt.request, at: now, into: &actions)
    }

    /// Why a sequence can never be computed here; `nil` if it can.
    private func flaw(of sequence: SequenceOrder) -> String? {
        let count = sequence.tokens.count
        guard count > 0, sequence.promptCount > 0, sequence.promptCount <= count else {
            return "\(count) tokens with a prompt of \(sequence.promptCount)"
        }
        guard count <= configuration.maxModelLength else {
            return "\(count) tokens exceed the model's length of \(configuration.maxModelLength)"
        }
        let blocks = configuration.geometry.blockCount(forTokens: count)
        guard blocks <= pool.blockCount else {
            return "\(count) tokens need \(blocks) blocks, the pool has \(pool.blockCount)"
        }
        return nil
    }

    private func flaw(of order: PrefillOrder) -> String? {
        if order.destination == nil, !order.sequence.endsWithPrefill {
            return "no destination for the KV of an answer of \(order.sequence.stop.maxTokens) tokens"
        }
        if order.sequence.forks.isEmpty { return nil }
        return order.sequence.tokens.count == order.sequence.promptCount ? nil : "choices of a prompt with an answer"
    }

    private mutating func retarget(
        _ from: AttemptID, as to: AttemptID, to destination: KVDestination, at now: Instant,
        into actions: inout [Action]
    ) {
        guard isHeld(from), from.request == to.request, from < to else {
            guard !isHeld(to) else { return }
            counters.failures += 1
            actions.append(.report(.prefillFailed(to, .refused("\(from) is not held"))))
            return
        }
        counters.retargets += 1
        counters.transfers += 1
        sequences[from.request]?.retarget(as: to, to: destination, timings: configuration.timings, at: now)
        // Reports under the old name that are still under way will not count: say it again.
        if let sequence = sequences[from.request] {
            if sequence.hasBegun {
                actions.append(.report(.prefillStarted(to, cachedCount: sequence.cachedCount)))
            }
            if let report = sequence.first.flatMap(sequence.order.report) { actions.append(.report(report)) }
        }
        advanceTransfer(of: from.request, at: now, into: &actions)
    }

    /// Gives a sequence up: tells the destination and returns the blocks. Those that the running step or the transport
    /// still reads stay referenced until then.
    mutating func drop(_ request: RequestID, into actions: inout [Action]) {
        guard let sequence = sequences[request] else { preconditionFailure("\(request) is not held") }
        let abort = KVMessage.abort(configuration.clusterEpoch, sequence.order.attempt)
        if let destination = sequence.destination { actions.append(.send(abort, to: destination)) }
        free(request)
    }

    mutating func fail(_ request: RequestID, _ failure: WorkFailure, into actions: inout [Action]) {
        guard let sequence = sequences[request] else { preconditionFailure("\(request) is not held") }
        counters.failures += 1
        actions.append(.report(.prefillFailed(sequence.order.attempt, failure)))
        drop(request, into: &actions)
    }

    mutating func free(_ request: RequestID) {
        guard let sequence = sequences.removeValue(forKey: request) else {
            preconditionFailure("\(request) is not held")
        }
        queue.remove(sequence.rank)
        pool.release(sequence.blocks)
        pool.release(sequence.leased)
        if sequence.hasBegun { placesTaken -= 1 }
        guard let step = running else { return }
        for index in step.chunks.indices where step.chunks[index].attempt.request == request {
            running?.chunks[index].isLive = false
        }
    }
}
