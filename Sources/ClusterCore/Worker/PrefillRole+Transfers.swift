import Generation
import OrderedCollections

// The transfers: send what is ready, hear what the other side says, keep the time.
extension PrefillRole {
    /// Sends all that credit allows and asks what is due. After every change to a transfer.
    mutating func advanceTransfer(of request: RequestID, at now: Instant, into actions: inout [Action]) {
        guard let index = sequences.index(forKey: request) else { preconditionFailure("\(request) is not held") }
        guard let destination = sequences.values[index].destination else { return }
        while let range = sequences.values[index].transfer.next() {
            actions.append(send(range, of: sequences.values[index], to: destination))
        }
        sequences.values[index].transfer.settle(at: now)
        if let question = sequences.values[index].transfer.question(at: now) {
            actions.append(.send(message(question, sequences.values[index]), to: destination))
        }
        let due = sequences.values[index].transfer.nextWakeUp
        wakeUp = min(wakeUp ?? due, due)
    }

    private mutating func send(
        _ range: LayerBlockRange, of sequence: PrefillSequence, to destination: KVDestination
    ) -> Action {
        let blocks = Array(sequence.blocks[range.first..<range.first + range.count])
        let lease = LeaseID(nextLease)
        nextLease += 1
        pool.retain(blocks)
        leases[lease] = blocks
        leasedReferences += blocks.count
        counters.layerBlocks += UInt64(range.count)
        let message = KVBlocks(
            epoch: configuration.clusterEpoch, attempt: sequence.order.attempt,
            tokenCount: sequence.order.tokens.count, range: range)
        return .sendBlocks(message, from: blocks, lease: lease, to: destination)
    }

    /// Ignores leases that are over, so that a transport may report an end more than once.
    mutating func endLease(_ lease: LeaseID) {
        guard let blocks = leases.removeValue(forKey: lease) else { return }
        leasedReferences -= blocks.count
        pool.release(blocks)
    }

    private func message(_ question: OutgoingTransfer.Question, _ sequence: PrefillSequence) -> KVMessage {
        let order = sequence.order
        switch question {
        case .open:
            return .open(
                KVOpen(
                    epoch: configuration.clusterEpoch, attempt: order.attempt, modelHash: configuration.modelHash,
                    geometry: configuration.geometry, tokenCount: order.tokens.count,
                    sent: sequence.transfer.credit.spent))
        case .commit:
            guard let first = sequence.first else { preconditionFailure("a commit without a token: \(sequence)") }
            return .commit(
                KVCommit(
                    epoch: configuration.clusterEpoch, attempt: order.attempt, tokenCount: order.tokens.count,
                    index: order.firstIndex,
                    next: first.map { NextToken(request: $0.attempt.request, token: $0.token) }))
        }
    }

    /// Replies of another epoch or attempt are old news.
    mutating func receive(_ reply: KVReply, at now: Instant, into actions: inout [Action]) {
        let attempt = reply.attempt
        let request = attempt.request
        guard reply.epoch == configuration.clusterEpoch, isHeld(attempt),
            let index = sequences.index(forKey: request)
        else { return }
        switch reply {
        case .credit(_, _, let limit, let held):
            sequences.values[index].transfer.raiseCredit(to: limit, held: held, at: now)
            advanceTransfer(of: request, at: now, into: &actions)
        case .missing(_, _, let ranges):
            let count = sequences.values[index].transfer.resend(ranges, at: now)
            counters.refetchedLayerBlocks += UInt64(count)
            advanceTransfer(of: request, at: now, into: &actions)
        case .complete:
            // Nothing can be whole that was not committed.
            guard sequences.values[index].transfer.hasEnded else { return }
            actions.append(.report(.transferFinished(attempt)))
            free(request)
        case .refused(_, _, let reason): fail(request, .refused(reason), into: &actions)
        }
    }

    mutating func reopenTransfers(to worker: WorkerID, at now: Instant, into actions: inout [Action]) {
        for request in Array(sequences.keys) where sequences[request]?.destination?.worker == worker {
            sequences[request]?.transfer.reopen(at: now)
            advanceTransfer(of: request, at: now, into: &actions)
        }
    }

    mutating func tick(at now: Instant, into actions: inout [Action]) {
        guard let due = wakeUp, now >= due else { return }
        wakeUp = nil
        var expired: [RequestID] = []
        for index in sequences.values.indices {
            guard let destination = sequences.values[index].destination else { continue }
            if sequences.values[index].transfer.hasExpired(at: now) {
                expired.append(sequences.keys[index])
                continue
            }
            if let question = sequences.values[index].transfer.question(at: now) {
                actions.append(.send(message(question, sequences.values[index]), to: destination))
            }
            let next = sequences.values[index].transfer.nextWakeUp
            wakeUp = min(wakeUp ?? next, next)
        }
        for request in expired { fail(request, .transferLost, into: &actions) }
    }
}

extension KVReply {
    var epoch: ClusterEpoch {
        switch self {
        case .credit(let epoch, _, _, _), .missing(let epoch, _, _), .complete(let epoch, _), .refused(let epoch, _, _):
            epoch
        }
    }

    var attempt: AttemptID {
        switch self {
        case .credit(_, let attempt, _, _), .missing(_, let attempt, _), .complete(_, let attempt),
            .refused(_, let attempt, _):
            attempt
        }
    }
}
