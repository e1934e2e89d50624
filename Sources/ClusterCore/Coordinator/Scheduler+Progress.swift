import Generation
import OrderedCollections

// What workers report about their attempts. A report counts only if it comes from the worker that the current
// attempt is assigned to; all others are left-overs of the past.
extension Scheduler {
    mutating func receive(_ message: WorkerMessage, from worker: Int, at now: Instant, into actions: inout [Action]) {
        switch message {
        case .register: break  // Handled before.
        case .leaving:
            membership.noteLeaving(worker)
            refreshOffer(of: worker)
        case .prefillStarted(let attempt, let cachedCount):
            guard let slot = request(attempt, prefilledBy: worker) else { return }
            noteCached(cachedCount, of: slot, on: worker)
            if requests[slot].record.prefillStarted == nil {
                requests[slot].record.prefillStarted = now
                requests[slot].record.cachedCount = min(cachedCount, requests[slot].promptCount)
            }
            observe(attempt.request, .prefillStarted(name(worker)), into: &actions)
        case .prefillFinished(let attempt, let first):
            guard let slot = request(attempt, prefilledBy: worker) else { return }
            finishPrefill(slot, first, from: worker, at: now, into: &actions)
        case .promptForked(let attempt, let first):
            guard let slot = request(attempt, prefilledBy: worker) else { return }
            finishPrompt(slot, first, from: worker, at: now, into: &actions)
        case .promptScored(let attempt, let scores): takeScores(scores, of: attempt.request, at: now, into: &actions)
        case .transferFinished(let attempt):
            guard let slot = request(attempt, heldBy: worker) else { return }
            finishTransfer(slot, at: now, into: &actions)
        case .prefillFailed(let attempt, let failure):
            guard let slot = request(attempt, heldBy: worker) else { return }
            failPrefill(slot, failure, at: now, into: &actions)
        case .kvWhole(let attempt):
            guard let slot = request(attempt, decodedBy: worker) else { return }
            completeKV(slot, at: now, into: &actions)
        case .embedded(let attempt, let row):
            guard request(attempt, decodedBy: worker) != nil else { return }
            observe(attempt.request, .embedded(name(worker), row: row), into: &actions)
        case .tokens(let events):
            for event in events {
                guard let slot = request(event.attempt, decodedBy: worker) else { continue }
                takeToken(event, slot, from: worker, at: now, into: &actions)
            }
        case .parked(let attempt):
            // A prompt with choices is never a row itself.
            guard let slot = request(attempt, decodedBy: worker), !requests[slot].isPrompt else { return }
            park(slot, at: now, into: &actions)
        case .prefixesChanged(let changes): note(changes, at: worker)
        case .left(let attempt, let row):
            observe(attempt.request, .left(name(worker), row: row), into: &actions)
            guard let slot = request(attempt, decodedBy: worker), requests[slot].knowsFirstToken else { return }
            loseDecode(of: slot, "\(name(worker)) let it go before its end", at: now, into: &actions)
        case .decodeFailed(let attempt, let failure):
            guard let slot = request(attempt, decodedBy: worker) else { return }
            if case .computation(let reason) = failure {
                fail(slot, .failed, "decoding failed: \(reason)", into: &actions)
            } else {
                let isFailure = failure != .evicted
                loseDecode(
                    of: slot, "\(name(worker)) gave it up: \(failure)", isFailure: isFailure, at: now, into: &actions)
            }
        }
    }

    private func request(_ attempt: AttemptID, prefilledBy worker: Int) -> Int? {
        guard let slot = requests.slot(of: attempt.request) else { return nil }
        return requests[slot].ordinal == attempt.ordinal && requests[slot].phase.prefill == worker ? slot : nil
    }

    /// Whoever computes its KV, or has it to send.
    private func request(_ attempt: AttemptID, heldBy worker: Int) -> Int? {
        guard let slot = requests.slot(of: attempt.request) else { return nil }
        return requests[slot].ordinal == attempt.ordinal && requests[slot].phase.holder?.worker == worker ? slot : nil
    }

    private func request(_ attempt: AttemptID, decodedBy worker: Int) -> Int? {
        guard let slot = requests.slot(of: attempt.request) else { return nil }
        return requests[slot].ordinal == attempt.ordinal && requests[slot].phase.decode == worker ? slot : nil
    }

    private func name(_ worker: Int) -> WorkerID { membership.members.key(at: worker) }

    // MARK: The prefill side

    private mutating func finishPrefill(
        _ slot: Int, _ first: TokenEvent, from worker: Int, at now: Instant, into actions: inout [Action]
    ) {
        let request = requests[slot]
        guard !request.isPrompt, !request.knowsFirstToken, Int(first.index) == request.emittedBeforePrefill else { return }
        if request.awaitsScores { return loseHolder(of: slot, "its prompt was not scored", at: now, into: &actions) }
        observe(request.id, .firstToken(name(worker)), into: &actions)
        if request.phase.isLocal {
            completeKV(slot, at: now, into: &actions)
            vacateHolder(slot)
        }
        var tokens = [first.scored]
        switch requests[slot].phase {
        case .queued, .pausing, .transferring, .following, .divided: break
        case .prefilling(let route): requests[slot].phase = .transferring(route)
        case .decoding(var decoding):
            tokens += decoding.early
            decoding.early = []
            requests[slot].phase = .decoding(decoding)
        }
        if tokens.count > 1, let decode = requests[slot].phase.decode {
            requests[slot].record.decodeWorker = name(decode)
        }
        emit(tokens, slot, at: now, into: &actions)
    }

    /// The decode side acknowledged the whole KV to the prefill side, which has freed its own.
    private mutating func finishTransfer(_ slot: Int, at now: Instant, into actions: inout [Action]) {
        guard requests[slot].knowsFirstToken else {
            let reason = "the KV was acknowledged before the first token was told"
            if requests[slot].isPrompt { return loseHolder(of: slot, reason, at: now, into: &actions) }
            retry(slot, reason, keepingHolder: false, at: now, into: &actions)
            return
        }
        completeKV(slot, at: now, into: &actions)
        vacateHolder(slot)
    }

    private mutating func failPrefill(
        _ slot: Int, _ failure: WorkFailure, at now: Instant, into actions: inout [Action]
    ) {
        switch (failure, requests[slot].phase) {
        case (.computation(let reason), let phase):
            switch phase {
            case .decoding where requests[slot].knowsFirstToken, .divided where requests[slot].knowsFirstToken: vacateHolder(slot)
            default: fail(slot, .failed, "prefill failed: \(reason)", into: &actions)
            }
        default: loseHolder(of: slot, "whoever had its KV gave it up: \(failure)", at: now, into: &actions)
        }
    }

    /// Whoever had the KV, or computed it, has nothing of the request any more.
    mutating func loseHolder(of slot: Int, _ reason: String, at now: Instant, into actions: inout [Action]) {
        switch requests[slot].phase {
        case .queued, .pausing: vacateHolder(slot)
        case .following: break
        case .divided:
            vacateHolder(slot)
            if !requests[slot].hasForked { loseFirstTokens(of: slot, reason, at: now, into: &actions) }
        case .prefilling, .transferring: retry(slot, reason, keepingHolder: false, at: now, into: &actions)
        case .decoding:
            if requests[slot].knowsFirstToken {
                vacateHolder(slot)
            } else {
                retry(slot, reason, keepingHolder: false, at: now, into: &actions)
            }
        }
    }

    // MARK: The decode side

    /// The decode worker has nothing of the request any more. As long as the KV was not whole there, the prefill worker
    /// has it and can send it elsewhere, unless it was the same one.
    mutating func loseDecode(
        of slot: Int, _ reason: String, isFailure: Bool = true, at now: Instant, into actions: inout [Action]
    ) {
        switch requests[slot].phase {
        case .following: break  // Its prompt starts over, and it with it.
        case .queued, .pausing, .divided: preconditionFailure("\(requests[slot]) is on no decode worker")
        case .prefilling(let route), .transferring(let route):
            retry(slot, reason, keepingHolder: !route.isLocal, isFailure: isFailure, at: now, into: &actions)
        case .decoding: retry(slot, reason, keepingHolder: false, isFailure: isFailure, at: now, into: &actions)
        }
    }

    /// The decode worker has put the query aside: it waits in line again, and goes on there or elsewhere.
    private mutating func park(_ slot: Int, at now: Instant, into actions: inout [Action]) {
        completeKV(slot, at: now, into: &actions)
        guard requests[slot].knowsFirstToken, let route = requests[slot].phase.route, let decode = route.decode else {
            let reason = "it was parked before its first token was told"
            return retry(slot, reason, keepingHolder: false, isFailure: false, at: now, into: &actions)
        }
        vacateHolder(slot)
        stopSharing(slot)
        vacateDecode(route, slot)
        let id = requests[slot].id
        decodeWorkers[decode]?.parked.append(id)
        requests[slot].phase = .queued(holder: .parked(decode))
        queue.insert(requests[slot].rank)
        observe(id, .parked(name(decode)), into: &actions)
    }

    mutating func completeKV(_ slot: Int, at now: Instant, into actions: inout [Action]) {
        switch requests[slot].phase {
        case .queued, .pausing, .decoding, .following, .divided: break
        case .prefilling(let route), .transferring(let route):
            guard let decode = route.decode else { return }
            requests[slot].record.kvWhole = requests[slot].record.kvWhole ?? now
            observe(requests[slot].id, .kvWhole(name(decode)), into: &actions)
            if requests[slot].isPrompt {
                divide(slot, on: route, at: now, into: &actions)
            } else {
                requests[slot].phase = .decoding(ServingRequest.Decoding(route: route))
                shareBlocks(of: slot, on: decode)
            }
        }
    }

    private mutating func takeToken(
        _ event: TokenEvent, _ slot: Int, from worker: Int, at now: Instant, into actions: inout [Action]
    ) {
        completeKV(slot, at: now, into: &actions)
        // No copy of the request may live here: its tokens would be copied as well when one is appended.
        guard case .decoding(var decoding) = requests[slot].phase else { return }
        let (index, emittedCount) = (Int(event.index), requests[slot].emittedCount)
        if !requests[slot].knowsFirstToken {
            guard index == emittedCount + 1 + decoding.early.count else { return }
            decoding.early.append(event.scored)
            requests[slot].phase = .decoding(decoding)
        } else if index == emittedCount {
            requests[slot].record.decodeWorker = name(worker)
            emit([event.scored], slot, at: now, into: &actions)
        } else if index > emittedCount {
            // The link has no hole, so the worker's own count has one.
            let reason = "\(name(worker)) skipped from token \(emittedCount) to \(index)"
            retry(slot, reason, keepingHolder: false, at: now, into: &actions)
        }
    }

    // MARK: Tokens

    /// Gives the next tokens of the answer to the client and ends the answer where its conditions say so.
    mutating func emit(_ tokens: [ScoredToken], _ slot: Int, at now: Instant, into actions: inout [Action]) {
        let (id, stop, start) = (requests[slot].id, requests[slot].stop, requests[slot].emittedCount)
        let (family, choice) = (requests[slot].family, Int32(requests[slot].sampling.choice))
        var emitted: [ScoredToken] = []
        var ending: FinishReason?
        for token in tokens where ending == nil {
            observe(id, .token(index: Int32(start + emitted.count)), into: &actions)
            ending = stop.finishReason(after: token.token, at: Int32(start + emitted.count))
            emitted.append(token)
        }
        for token in emitted { requests[slot].tokens.append(token.token) }
        requests[slot].record.firstToken = requests[slot].record.firstToken ?? now
        requests[slot].record.lastToken = now
        actions.append(.emit(family, choice: choice, firstIndex: Int32(start), emitted))
        if let ending {
            finish(slot, ending, into: &actions)
        } else {
            growCharge(slot)
        }
    }
}
