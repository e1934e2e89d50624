import Generation
import OrderedCollections

/// The decisions of a mixed worker: prompts are computed in chunks beside the running batch, and become rows of it where
/// they are, without any transfer.
///
/// Grants, blocks, rows and eviction are ``DecodeRole``'s, order and chunks of prompts ``PrefillQueue``'s; how a step is
/// filled is a ``StepPolicy``'s. The usual one is chunked prefill (as in Sarathi-Serve and vLLM): every row first, one token
/// each, then chunks in order of rank, until the token budget is used up. So a long prompt never stops the rows for longer
/// than one step of bounded size. A prompt that ends in a step is a row in the next.
///
/// The shell receives, calls ``handle(_:at:)``, carries the actions out in order, and asks ``nextStep(at:)`` for work
/// whenever the engine is idle. One value lives as long as one registration.
public struct MixedRole: Sendable {
    public enum Event: Sendable {
        case message(CoordinatorMessage)
        /// As ``MixedStep`` says; scores in the order of the chunks that asked for them.
        case stepFinished([Sample], scores: [ChunkScores] = [])
        /// As ``DecodeRole/Event`` says.
        case parkingFinished(ParkID, Bool)
        case restoringFinished(ParkID, Bool)
        case tick
        case memory(BatchScale.Memory)
    }

    public enum Action: Sendable, Hashable {
        case report(WorkerMessage)
        /// Copy all layers of a block, before the next step starts.
        case copyBlock(from: BlockID, to: BlockID)
        /// As ``DecodeRole/Action`` says.
        case park(ParkedKV)
        case restore(ParkedKV)
        case discard(ParkID)
        case releaseMemory([BlockID])
    }

    public struct Configuration: Sendable, Hashable {
        public var decode: DecodeRole.Configuration
        /// Tokens in one step, at least one for each row of the batch; no other policy than `mixed` heeds it.
        public var maxBatchedTokens: Int
        /// One of the mixed workers' policies.
        public var scheduling: Scheduling
        /// How long the policy `static` waits for more queries than it has.
        public var patience: Duration

        public init(
            decode: DecodeRole.Configuration, maxBatchedTokens: Int, scheduling: Scheduling = .mixed,
            patience: Duration = .milliseconds(20)
        ) {
            self.decode = decode
            self.maxBatchedTokens = maxBatchedTokens
            self.scheduling = scheduling
            self.patience = patience
        }
    }

    public let configuration: Configuration
    private var decode: DecodeRole
    private var policy: StepPolicy
    private var work = WorkCounters()

    public init(_ configuration: Configuration) {
        precondition(
            configuration.maxBatchedTokens >= configuration.decode.maxSequences,
            "\(configuration.maxBatchedTokens) tokens in a step with \(configuration.decode.maxSequences) rows")
        self.configuration = configuration
        var ownConfiguration = configuration.decode
        // The other policies are there to be compared with, as those who described them did it.
        if configuration.scheduling != .mixed {
            ownConfiguration.cachesPrefixes = false
            ownConfiguration.backgroundShare = .infinity
        }
        if configuration.scheduling == .static { ownConfiguration.displaces = false }
        decode = DecodeRole(ownConfiguration, computesPrompts: true)
        policy = StepPolicy(configuration)
    }

    public mutating func handle(_ event: Event, at now: Instant) -> [Action] {
        switch event {
        case .message(.prefill(let order)): return refuse(order.sequence.attempt)
        case .message(.retarget(_, let to, _)): return refuse(to)
        case .message(let message): return own(decode.handle(.message(message), at: now))
        case .stepFinished(let samples, let scores): return own(finishStep(samples, scores, at: now))
        case .parkingFinished(let id, let isStored): return own(decode.handle(.parkingFinished(id, isStored), at: now))
        case .restoringFinished(let id, let isIntact):
            return own(decode.handle(.restoringFinished(id, isIntact), at: now))
        case .tick: return []
        case .memory(let memory): return own(decode.handle(.memory(memory), at: now))
        }
    }

    /// Plans the next step; `nil` when there is nothing to compute. To be asked after every event while the engine is
    /// idle. The actions come before the step. The shell should let go of the step before it reports its end: then
    /// histories and block tables grow in place.
    public mutating func nextStep(at now: Instant) -> (step: MixedStep?, actions: [Action]) {
        precondition(!isComputing, "a step is running")
        let plan = policy.plan(view, at: now)
        var actions: [DecodeRole.Action] = [], rows: [DecodeIteration.Row] = []
        if plan.advancesRows {
            // Who gives way at the boundary is known before chunks are planned.
            let boundary = decode.nextIteration(at: now)
            (rows, actions) = (boundary.iteration?.rows ?? [], boundary.actions)
        }
        let prompts = decode.prompts.begin(plan.prompts, beside: rows.count, in: &decode.pool, at: now)
        actions += prompts.copies.map { .copyBlock(from: $0.source, to: $0.target) }
        actions += prompts.started.map { .report(.prefillStarted($0.attempt, cachedCount: $0.cachedCount)) }
        guard !rows.isEmpty || !prompts.chunks.isEmpty else { return (nil, own(actions)) }
        var step = MixedStep(rows: rows, chunks: prompts.chunks)
        let padding = policy.padding(of: step, waiting: view.rows - rows.count)
        step.padding = padding.rows
        count(step, idle: padding.idle)
        return (step, own(actions))
    }

    private var view: StepView {
        StepView(
            rows: decode.batch.count + decode.ready.count, prompts: decode.prompts.count,
            promptsWithRow: decode.promptsWithRow, maxSequences: configuration.decode.maxSequences)
    }

    private mutating func count(_ step: MixedStep, idle: IdleCounters) {
        work.steps += 1
        work.sharedSteps += step.rows.isEmpty || step.chunks.isEmpty ? 0 : 1
        work.decodeTokens += UInt64(step.rows.count)
        work.prefillTokens += UInt64(step.tokenCount - step.rows.count)
        work.idle += idle
    }

    private mutating func finishStep(
        _ samples: [Sample], _ scores: [ChunkScores], at now: Instant
    ) -> [DecodeRole.Action] {
        precondition(isComputing, "a step finished, but none is running")
        var actions: [DecodeRole.Action] = []
        let rowCount = decode.batch.isIterating ? decode.batch.computedCount : 0
        decode.finishChunks(samples.dropFirst(rowCount), scores, at: now, into: &actions)
        if rowCount > 0 {
            decode.finishIteration(Array(samples.prefix(rowCount)), at: now, into: &actions)
        } else {
            decode.takeDeferredGrants(at: now, into: &actions)
            decode.reportPrefixes(into: &actions)
        }
        return actions
    }

    private func refuse(_ attempt: AttemptID) -> [Action] {
        [.report(.prefillFailed(attempt, .refused("this is a mixed worker")))]
    }

    private func own(_ actions: [DecodeRole.Action]) -> [Action] {
        actions.map { action in
            switch action {
            case .report(let message): .report(message)
            case .copyBlock(let from, let to): .copyBlock(from: from, to: to)
            case .park(let kv): .park(kv)
            case .restore(let kv): .restore(kv)
            case .discard(let id): .discard(id)
            case .releaseMemory(let blocks): .releaseMemory(blocks)
            case .reply, .load, .send, .sendParked: preconditionFailure("\(action), but KV neither comes nor goes here")
            }
        }
    }

    /// Whether the engine runs a step.
    public var isComputing: Bool { decode.batch.isIterating || decode.prompts.isComputing }
    /// Neither the engine nor the parking store uses any block; a shell replaces the role only then.
    public var isQuiescent: Bool { !isComputing && decode.isQuiescent }

    /// When ``Event/tick`` is due.
    public var timeOfNextWakeUp: Instant? { isComputing ? nil : policy.nextWakeUp }

    /// What the boundary before the step took, for the actions too; see ``DecodeRole/noteBoundary(took:)``.
    public mutating func noteBoundary(took time: Duration) { decode.noteBoundary(took: time) }

    /// What the end of the step took, and the parking store; see ``DecodeRole``.
    public mutating func noteEnd(took time: Duration) { decode.noteEnd(took: time) }
    public mutating func noteParking(took time: Duration) { decode.noteParking(took: time) }
    public mutating func noteRestoring(took time: Duration) { decode.noteRestoring(took: time) }

    public var load: WorkerLoad {
        var load = decode.load
        let batch = load.work.batch
        load.work = work
        load.work.batch = batch
        return load
    }

    public func checkInvariants() { decode.checkInvariants() }
}

extension DecodeRole {
    /// Takes what the step made of prompts. Those that have ended are whole, with nothing sent anywhere.
    fileprivate mutating func finishChunks(
        _ samples: ArraySlice<Sample>, _ scores: [ChunkScores], at now: Instant, into actions: inout [Action]
    ) {
        for outcome in ChunkOutcome.deal(samples, scores, to: prompts.finish(in: &pool)) where outcome.chunk.isLive {
            guard let holding = holdings[outcome.chunk.attempt.request] else { preconditionFailure("\(outcome) is not held") }
            if let failure = outcome.failure {
                fail(holding, .computation(failure.message), into: &actions)
            } else {
                finish(outcome, holding, at: now, into: &actions)
            }
        }
    }

    private mutating func finish(
        _ outcome: ChunkOutcome, _ holding: Holding, at now: Instant, into actions: inout [Action]
    ) {
        let request = holding.attempt.request
        guard let order = prompts.queries[request]?.order else { preconditionFailure("\(holding) without a prompt") }
        prompts.keepPrefix(of: request, upTo: outcome.chunk.range.upperBound, in: &pool)
        actions += outcome.scoreReports(of: order).map { .report($0) }
        guard outcome.chunk.endsPrompt else { return }
        let first = outcome.events(of: order)
        if let report = order.report(of: first) { actions.append(.report(report)) }
        if order.ends(with: first) {
            drop(holding, into: &actions)
        } else {
            let next = first.map { NextToken(request: $0.attempt.request, token: $0.token) }
            makeReady(prompts.remove(request), next, at: now, into: &actions)
        }
    }
}
