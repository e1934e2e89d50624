import Generation
import OrderedCollections

// A parked query goes to another worker: the sending end of a transfer, as on a prefill worker. The receiver cannot
// tell the difference.
extension DecodeRole {
    mutating func retarget(
        _ from: AttemptID, as to: AttemptID, to destination: KVDestination, into actions: inout [Action]
    ) {
        guard let holding = holdings[from.request], holding.attempt == from, from.request == to.request, from < to,
            case .parked(let id) = holding.place, parked[id]?.isAtWork == false
        else {
            if let holding = holdings[from.request], holding.attempt == from { drop(holding, into: &actions) }
            actions.append(.report(.prefillFailed(to, .refused("\(from) is not parked here"))))
            return
        }
        if let entry = parked[id], case .sending(let migration) = entry.state {
            actions.append(.send(.abort(configuration.clusterEpoch, from), to: migration.destination))
        }
        ended.insert(from, wasWhole: true)
        holdings[from.request]?.attempt = to
        parked[id]?.row.attempt = to
        parked[id]?.state = .loading(destination)
        counters.migrations += 1
        actions.append(.load(id))
    }

    /// The store has brought a parked query where it can be read from, or could not.
    mutating func finishLoading(_ id: ParkID, isIntact: Bool, at now: Instant, into actions: inout [Action]) {
        // Dropped, resumed or told another destination meanwhile; then another load is under way.
        guard let entry = parked[id], case .loading(let destination) = entry.state else { return }
        guard isIntact else { return giveUpDamaged(id, into: &actions) }
        parked[id]?.state = .sending(
            Migration(
                to: destination, geometry: configuration.geometry, tokenCount: entry.row.position,
                timings: configuration.timings, at: now))
        advanceMigration(id, at: now, into: &actions)
    }

    /// Sends all that credit allows and asks what is due.
    private mutating func advanceMigration(_ id: ParkID, at now: Instant, into actions: inout [Action]) {
        guard let entry = parked[id], case .sending(var migration) = entry.state else { return }
        while let range = migration.transfer.next() {
            let blocks = KVBlocks(
                epoch: configuration.clusterEpoch, attempt: entry.row.attempt, tokenCount: entry.row.position,
                range: range)
            actions.append(.sendParked(blocks, id, to: migration.destination))
        }
        migration.transfer.settle(at: now)
        if let question = migration.transfer.question(at: now) {
            actions.append(.send(ask(question, entry, migration), to: migration.destination))
        }
        wakeUp = min(wakeUp ?? migration.transfer.nextWakeUp, migration.transfer.nextWakeUp)
        parked[id]?.state = .sending(migration)
    }

    private func ask(_ question: OutgoingTransfer.Question, _ entry: ParkedRow, _ migration: Migration) -> KVMessage {
        switch question {
        case .open:
            .open(
                KVOpen(
                    epoch: configuration.clusterEpoch, attempt: entry.row.attempt, modelHash: configuration.modelHash,
                    geometry: configuration.geometry, tokenCount: entry.row.position,
                    sent: migration.transfer.credit.spent))
        case .commit:
            .commit(
                KVCommit(
                    epoch: configuration.clusterEpoch, attempt: entry.row.attempt, tokenCount: entry.row.position,
                    next: entry.next))
        }
    }

    /// Replies of another epoch or attempt are old news.
    mutating func receive(_ reply: KVReply, at now: Instant, into actions: inout [Action]) {
        let attempt = reply.attempt
        guard reply.epoch == configuration.clusterEpoch, let holding = holdings[attempt.request],
            holding.attempt == attempt, case .parked(let id) = holding.place,
            case .sending(var migration)? = parked[id]?.state
        else { return }
        switch reply {
        case .credit(_, _, let limit, let held):
            migration.transfer.raiseCredit(to: limit, held: held, at: now)
            parked[id]?.state = .sending(migration)
            advanceMigration(id, at: now, into: &actions)
        case .missing(_, _, let ranges):
            _ = migration.transfer.resend(ranges, at: now)
            parked[id]?.state = .sending(migration)
            advanceMigration(id, at: now, into: &actions)
        case .complete:
            actions.append(.report(.transferFinished(attempt)))
            holdings[attempt.request] = nil
            forget(id, into: &actions)
        // The receiver tells the coordinator itself; until that decides, the KV is safe here.
        case .refused: parked[id]?.state = .stored
        }
    }

    mutating func reopenMigrations(to worker: WorkerID, at now: Instant, into actions: inout [Action]) {
        for id in Array(parked.keys) {
            guard case .sending(var migration)? = parked[id]?.state, migration.destination.worker == worker else { continue }
            migration.transfer.reopen(at: now)
            parked[id]?.state = .sending(migration)
            advanceMigration(id, at: now, into: &actions)
        }
    }

    mutating func tickMigrations(at now: Instant, into actions: inout [Action]) {
        for id in Array(parked.keys) {
            guard case .sending(let migration)? = parked[id]?.state else { continue }
            if migration.transfer.hasExpired(at: now) {
                parked[id]?.state = .stored
            } else {
                advanceMigration(id, at: now, into: &actions)
            }
        }
    }

    var hasMigrations: Bool { parked.values.contains { if case .sending = $0.state { true } else { false } } }

    private mutating func giveUpDamaged(_ id: ParkID, into actions: inout [Action]) {
        guard let entry = parked[id], let holding = holdings[entry.row.attempt.request] else {
            preconditionFailure("\(id) is not held")
        }
        counters.failures += 1
        actions.append(.report(.prefillFailed(entry.row.attempt, .transferLost)))
        drop(holding, into: &actions)
    }
}
