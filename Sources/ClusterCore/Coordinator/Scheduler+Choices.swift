import Generation

// Requests for several choices: one prompt, computed once, then each choice for itself. And the scores of prompts.
extension Scheduler {
    /// Slots of a prompt's choices that wait for it.
    func followers(of prompt: Int) -> [Int] {
        requests[prompt].choices.compactMap { requests.slot(of: $0) }.filter {
            if case .following = requests[$0].phase { true } else { false }
        }
    }

    /// The client has got something of a request, the choices of a prompt included.
    func hasEmitted(_ slot: Int) -> Bool {
        let request = requests[slot], open = request.choices.compactMap { requests.slot(of: $0) }
        return request.scoredCount > 0 || request.emittedCount > 0 || open.count < request.choices.count
            || open.contains { requests[$0].emittedCount > 0 }
    }

    /// The prompt's next attempt is also one of each choice that waits for it.
    mutating func beginForks(of prompt: Int) {
        let request = requests[prompt]
        for slot in followers(of: prompt) {
            requests[slot].ordinal += 1
            requests[slot].emittedBeforeAttempt = requests[slot].emittedCount
            requests[slot].rank.priority = request.rank.priority
            requests[slot].record.prefillWorker = request.record.prefillWorker
        }
    }

    /// What workers are told of a request, a prompt's choices included.
    func order(for slot: Int) -> SequenceOrder {
        var order = requests[slot].order
        order.group = membership(in: requests[slot].group)
        order.forks = followers(of: slot).map { Fork(attempt: requests[$0].attempt, choice: requests[$0].sampling.choice) }
        return order
    }

    /// A choice that waits for its prompt has ended: it must not become a row.
    mutating func withdraw(_ slot: Int, into actions: inout [Action]) {
        guard let prompt = requests.slot(of: requests[slot].family), let decode = requests[prompt].phase.decode else { return }
        send(.cancel(requests[slot].attempt), to: decode, into: &actions)
    }

    /// The prompt's KV is whole on the decode side: its choices have gone on as rows that share its blocks.
    mutating func divide(_ prompt: Int, on route: ServingRequest.Route, at now: Instant, into actions: inout [Action]) {
        guard let decode = route.decode, let geometry = membership.geometry else { preconditionFailure("\(route) has no KV") }
        vacateDecode(route, prompt)
        let record = requests[prompt].record
        for (index, slot) in followers(of: prompt).enumerated() {
            requests[slot].sharing = index == 0 ? .keeps : .shares
            let now = requests[slot].ownBlocks(forTokens: requests[slot].tokens.count, geometry)
            let most = requests[slot].ownBlocks(forTokens: requests[slot].greatestLength, geometry)
            let own = ServingRequest.Route(source: nil, decode: decode, charge: min(now + configuration.growthBlocks, most))
            requests[slot].phase = .decoding(ServingRequest.Decoding(route: own))
            requests[slot].record.kvWhole = requests[slot].record.kvWhole ?? record.kvWhole
            occupyDecode(own, with: slot)
            let (choice, worker) = (requests[slot], membership.members.key(at: decode))
            observe(choice.id, .submitted(promptCount: choice.promptCount, choice.rank.priority), into: &actions)
            observe(choice.id, .assigned(prefill: record.prefillWorker ?? worker, decode: worker), into: &actions)
        }
        requests[prompt].phase = .divided(holder: route.source)
    }

    /// A choice gives its part of the prompt's blocks up; another one that still reads them pays for them if it did.
    /// To be called before its charge is taken back.
    mutating func stopSharing(_ slot: Int) {
        let choice = requests[slot]
        requests[slot].sharing = .none
        guard choice.sharing == .keeps, let geometry = membership.geometry,
            let prompt = requests.slot(of: choice.family),
            let heir = requests[prompt].choices.compactMap({ requests.slot(of: $0) })
                .first(where: { requests[$0].sharing == .shares }),
            let route = requests[heir].phase.route, let decode = route.decode
        else { return }
        requests[heir].sharing = .keeps
        let more = choice.sharedBlocks(geometry)
        requests[heir].phase.setCharge(route.charge + more)
        decodeWorkers[decode]?.charge(more, more: requests[heir].rank)
    }

    /// The prefill worker has told the first token of each choice.
    mutating func finishPrompt(
        _ slot: Int, _ first: [TokenEvent], from worker: Int, at now: Instant, into actions: inout [Action]
    ) {
        let prompt = requests[slot]
        guard prompt.isPrompt, !prompt.hasForked else { return }
        if prompt.awaitsScores { return loseHolder(of: slot, "its prompt was not scored", at: now, into: &actions) }
        observe(prompt.id, .firstToken(membership.members.key(at: worker)), into: &actions)
        requests[slot].hasForked = true
        if prompt.phase.isLocal {
            completeKV(slot, at: now, into: &actions)
            vacateHolder(slot)
        }
        if case .prefilling(let route) = requests[slot].phase { requests[slot].phase = .transferring(route) }
        for event in first {
            // The last choice to end takes the prompt with it.
            guard prompt.choices.contains(event.attempt.request), let choice = requests.slot(of: event.attempt.request)
            else { continue }
            takeFirst(event, choice, at: now, into: &actions)
        }
    }

    private mutating func takeFirst(_ event: TokenEvent, _ slot: Int, at now: Instant, into actions: inout [Action]) {
        guard requests[slot].emittedCount == 0, event.index == 0 else { return }
        var tokens = [event.scored]
        switch requests[slot].phase {
        case .following: break
        case .decoding(var decoding) where requests[slot].sharing != .none:
            tokens += decoding.early
            decoding.early = []
            requests[slot].phase = .decoding(decoding)
            if tokens.count > 1, let decode = decoding.route.decode {
                requests[slot].record.decodeWorker = membership.members.key(at: decode)
            }
        // It is served by itself by now, and the token will come that way.
        case .queued, .pausing, .prefilling, .transferring, .decoding, .divided: return
        }
        if let prompt = requests.slot(of: requests[slot].family) {
            requests[slot].record.prefillStarted = requests[prompt].record.prefillStarted
            requests[slot].record.cachedCount = requests[prompt].record.cachedCount
        }
        emit(tokens, slot, at: now, into: &actions)
    }

    /// Whoever computed a prompt is gone before it told what it sampled: choices that are rows already start over.
    mutating func loseFirstTokens(of prompt: Int, _ reason: String, at now: Instant, into actions: inout [Action]) {
        if requests[prompt].awaitsScores {
            return startOver(prompt, reason, isFailure: true, at: now, into: &actions)
        }
        requests[prompt].hasForked = true
        for slot in requests[prompt].choices.compactMap({ requests.slot(of: $0) }) where !requests[slot].knowsFirstToken {
            guard case .decoding = requests[slot].phase, requests[slot].sharing != .none else { continue }
            retry(slot, reason, keepingHolder: false, at: now, into: &actions)
        }
    }

    /// The prompt is computed again, and its choices with it. Only before any of them has a token: as long as the prompt's
    /// scores, which come first, are not all there.
    mutating func startOver(
        _ prompt: Int, _ reason: String, isFailure: Bool, at now: Instant, into actions: inout [Action]
    ) {
        for slot in requests[prompt].choices.compactMap({ requests.slot(of: $0) }) {
            precondition(requests[slot].emittedCount == 0, "\(requests[slot]) has tokens before scores")
            if case .following = requests[slot].phase { continue }
            release(slot, keepingHolder: false, into: &actions)
            requests[slot].phase = .following
        }
        release(prompt, keepingHolder: false, into: &actions)
        requests[prompt].phase = .queued(holder: nil)
        retry(prompt, reason, keepingHolder: false, isFailure: isFailure, at: now, into: &actions)
    }

    // MARK: Scores

    /// Scores of a prompt's tokens are facts: they count whoever computed them, in whatever attempt. Each goes to the
    /// client once.
    mutating func takeScores(
        _ scores: PromptScores, of request: RequestID, at now: Instant, into actions: inout [Action]
    ) {
        guard let slot = requests.slot(of: request), requests[slot].awaitsScores else { return }
        let known = requests[slot].scoredCount, (end, overflow) = scores.first.addingReportingOverflow(scores.tokens.count)
        guard !overflow, scores.first >= 1, scores.first <= max(1, known), end > known, end <= requests[slot].promptCount
        else { return }
        let tokens = (known..<end).map { position in
            ScoredToken(requests[slot].tokens[position], position == 0 ? nil : scores.tokens[position - scores.first])
        }
        requests[slot].scoredCount = end
        actions.append(.emitPrompt(request, first: Int32(known), tokens))
        if requests[slot].stop.maxTokens == 0, !requests[slot].awaitsScores {
            requests[slot].record.firstToken = now
            requests[slot].record.lastToken = now
            finish(slot, .length, into: &actions)
        }
    }
}
