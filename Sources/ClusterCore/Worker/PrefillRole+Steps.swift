import Generation
import OrderedCollections

// The engine's side: plan a step, take what it stored and sampled.
extension PrefillRole {
    /// Plans the next step; `nil` when there is nothing to compute. To be asked after every event while the engine is
    /// idle.
    /// The actions come before the step.
    public mutating func nextStep(at now: Instant) -> (step: PrefillStep?, actions: [Action]) {
        precondition(running == nil, "a step is running: \(String(describing: running))")
        var actions: [Action] = []
        // Taken out for the call, as admission changes the rest of the role.
        var queue = PrefillQueue()
        swap(&queue, &self.queue)
        let budget = configuration.maxBatchedTokens
        let chunks = queue.plan(
            tokenBudget: budget, backgroundBudget: urgentTraffic.backgroundTokens(of: budget, at: now)
        ) { request, tokenCount in
            admit(request, tokenCount: tokenCount, at: now, into: &actions)
        }
        swap(&queue, &self.queue)
        guard !chunks.isEmpty else { return (nil, actions) }
        running = RunningPrefill(chunks: chunks.map { begin($0) })
        return (PrefillStep(chunks: chunks.map(describe)), actions)
    }

    /// Takes a place and the blocks of the whole prompt, so that a prompt that has begun never waits for another.
    /// Not while a prompt before it computes what both begin with: that is computed once.
    private mutating func admit(
        _ request: RequestID, tokenCount: Int, at now: Instant, into actions: inout [Action]
    ) -> PrefillQueue.Admission {
        guard placesTaken < configuration.maxSequences, let order = sequences[request]?.order else { return .noRoom }
        if awaitsAnother(order) { return .later }
        guard let claim = claim(tokenCount, for: order) else { return .noRoom }
        sequences[request]?.begin(claim, geometry: configuration.geometry)
        placesTaken += 1
        pool.countQuery(tokenCount, claim)
        if let copy = claim.copy { actions.append(.copyBlock(from: copy.source, to: copy.target)) }
        actions.append(.report(.prefillStarted(order.attempt, cachedCount: claim.tokenCount)))
        advanceTransfer(of: request, at: now, into: &actions)
        return .begins(computed: claim.tokenCount)
    }

    private mutating func begin(_ chunk: PrefillQueue.Chunk) -> RunningPrefill.Chunk {
        guard let sequence = sequences[chunk.request] else { preconditionFailure("\(chunk) without a sequence") }
        pool.retain(sequence.blocks)
        return RunningPrefill.Chunk(chunk, of: sequence.order, in: sequence.blocks)
    }

    private func describe(_ chunk: PrefillQueue.Chunk) -> PrefillStep.Chunk {
        guard let sequence = sequences[chunk.request] else { preconditionFailure("\(chunk) without a sequence") }
        return PrefillStep.Chunk(chunk, of: sequence.order, in: sequence.blocks)
    }

    mutating func storeLayer(_ layer: Int, at now: Instant, into actions: inout [Action]) {
        guard let step = running else { preconditionFailure("layer \(layer) stored, but no step is running") }
        precondition(
            layer == step.layersStored && layer < configuration.geometry.layerCount,
            "layer \(layer) stored after \(step.layersStored) of \(configuration.geometry.layerCount)")
        running?.layersStored += 1
        for chunk in step.chunks where chunk.isLive {
            let request = chunk.attempt.request
            sequences[request]?.store(
                layer: layer, computed: chunk.range.upperBound, geometry: configuration.geometry)
            advanceTransfer(of: request, at: now, into: &actions)
        }
    }

    mutating func finishStep(
        _ samples: [Sample], _ scores: [ChunkScores], at now: Instant, into actions: inout [Action]
    ) {
        guard let stored = running?.layersStored else { preconditionFailure("a step finished, but none is running") }
        for layer in stored..<configuration.geometry.layerCount { storeLayer(layer, at: now, into: &actions) }
        guard let step = running else { preconditionFailure("the running step vanished") }
        running = nil
        counters.steps += 1
        for outcome in ChunkOutcome.deal(samples[...], scores, to: step.chunks) {
            counters.tokens += UInt64(outcome.chunk.range.count)
            if outcome.chunk.isLive { finish(outcome, at: now, into: &actions) }
            pool.release(outcome.chunk.blocks)
        }
        if let changes = pool.takePrefixChanges() { actions.append(.report(.prefixesChanged(changes))) }
    }

    private mutating func finish(_ outcome: ChunkOutcome, at now: Instant, into actions: inout [Action]) {
        let request = outcome.chunk.attempt.request
        guard let sequence = sequences[request] else { preconditionFailure("\(outcome) without a sequence") }
        queue.advance(sequence.rank, to: outcome.chunk.range.upperBound)
        if let failure = outcome.failure { return fail(request, .computation(failure.message), into: &actions) }
        keepPrefix(of: request, upTo: outcome.chunk.range.upperBound)
        actions += outcome.scoreReports(of: sequence.order).map { .report($0) }
        if outcome.chunk.endsPrompt { finishPrompt(request, outcome.events(of: sequence.order), at: now, into: &actions) }
    }

    private mutating func finishPrompt(
        _ request: RequestID, _ first: [TokenEvent], at now: Instant, into actions: inout [Action]
    ) {
        guard let order = sequences[request]?.order else { preconditionFailure("\(request) is not held") }
        sequences[request]?.first = first
        if let report = order.report(of: first) { actions.append(.report(report)) }
        if order.ends(with: first) {
            drop(request, into: &actions)
        } else {
            sequences[request]?.transfer.end()
            advanceTransfer(of: request, at: now, into: &actions)
        }
    }
}
