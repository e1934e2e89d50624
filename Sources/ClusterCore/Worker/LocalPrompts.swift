import OrderedCollections

/// The prompts that a mixed worker computes itself, beside the rows of its batch.
///
/// Their blocks are those of their grants, so that a prompt whose turn comes never waits for any. A step keeps a
/// reference to the blocks that it writes, whatever becomes of the query meanwhile.
struct LocalPrompts: Sendable {
    /// Granted, with blocks, and not whole yet.
    private(set) var queries: OrderedDictionary<RequestID, DecodeQuery> = [:]
    private var queue = PrefillQueue()
    private var urgentTraffic = UrgentTraffic()
    /// What the engine computes now.
    private var running: [RunningPrefill.Chunk] = []

    var count: Int { queries.count }
    var ranks: [Rank] { queries.values.map(\.rank) }
    var isComputing: Bool { !running.isEmpty }
    /// Some of what is computed now is not wanted any more; its blocks come free when the step is over.
    var hasLeavingChunks: Bool { running.contains { !$0.isLive } }
    /// References to blocks that the running step holds.
    var runningReferences: Int { running.reduce(0) { $0 + $1.blocks.count } }

    mutating func insert(_ query: DecodeQuery, at now: Instant) {
        urgentTraffic.note(query.rank.priority, at: now)
        queue.insert(query.rank, tokenCount: query.order.tokens.count)
        queries[query.order.attempt.request] = query
    }

    /// The query is whole or not wanted any more; its blocks are the caller's.
    mutating func remove(_ request: RequestID) -> DecodeQuery {
        guard let query = queries.removeValue(forKey: request) else { preconditionFailure("\(request) is no prompt") }
        queue.remove(query.rank)
        for index in running.indices where running[index].attempt.request == request { running[index].isLive = false }
        return query
    }

    struct Plan: Sendable {
        /// In order of rank; every attempt at most once.
        var chunks: [PrefillStep.Chunk] = []
        /// Those whose first chunk is among them, and tokens before it.
        var started: [(attempt: AttemptID, cachedCount: Int)] = []
        /// Blocks to be copied before anything is computed, in this order.
        var copies: [BlockPool.Claim.Copy] = []
    }

    /// Takes prompts into a step that has `rows` token rows already, and begins to compute them.
    mutating func begin(_ share: StepPlan.Prompts, beside rows: Int, in pool: inout BlockPool, at now: Instant) -> Plan {
        precondition(running.isEmpty, "chunks are being computed: \(running)")
        var plan = Plan()
        for chunk in chunks(share, beside: rows, in: &pool, copies: &plan.copies, at: now) {
            guard let query = queries[chunk.request] else { preconditionFailure("\(chunk) without a query") }
            pool.retain(query.blocks)
            running.append(RunningPrefill.Chunk(chunk, of: query.order, in: query.blocks))
            plan.chunks.append(PrefillStep.Chunk(chunk, of: query.order, in: query.blocks))
            if !query.hasBegun { plan.started.append((query.order.attempt, chunk.range.lowerBound)) }
            queries[chunk.request]?.hasBegun = true
        }
        return plan
    }

    private mutating func chunks(
        _ share: StepPlan.Prompts, beside rows: Int, in pool: inout BlockPool, copies: inout [BlockPool.Claim.Copy],
        at now: Instant
    ) -> [PrefillQueue.Chunk] {
        switch share {
        case .none: return []
        case .chunks(let stepTokens):
            // Taken out for the call, as admission changes the rest.
            var queue = PrefillQueue(), beginning: Set<RequestID> = []
            swap(&queue, &self.queue)
            let background = urgentTraffic.backgroundTokens(of: stepTokens, at: now)
            let chunks = queue.plan(tokenBudget: stepTokens - rows, backgroundBudget: background) { request, _ in
                admit(request, in: &pool, beside: &beginning, &copies)
            }
            swap(&queue, &self.queue)
            return chunks
        case .whole(let count):
            var room = count
            return queue.plan(tokenBudget: .max, mixesPriorities: true) { _, _ in
                room -= 1
                return room >= 0 ? .begins(computed: 0) : .noRoom
            }
        }
    }

    /// Looks once more for what is known of a prompt that is about to begin. Not while one before it computes what both begin
    /// with: that is computed once.
    /// - Parameter beginning: those that begin in the same step; for look-ups only.
    private mutating func admit(
        _ request: RequestID, in pool: inout BlockPool, beside beginning: inout Set<RequestID>,
        _ copies: inout [BlockPool.Claim.Copy]
    ) -> PrefillQueue.Admission {
        guard pool.cachesPrefixes, let query = queries[request] else { return .begins(computed: 0) }
        let order = query.order
        if awaitsAnother(order, beside: beginning, blockSize: pool.blockSize) { return .later }
        var claim = BlockPool.Claim(blocks: query.blocks, sharedCount: query.sharedCount, tokenCount: query.computed)
        pool.improve(&claim, for: order.tokens.prefix(max(0, order.reusableCount)), salt: order.cacheSalt)
        queries[request]?.blocks = claim.blocks
        queries[request]?.computed = claim.tokenCount
        pool.countQuery(order.tokens.count, claim)
        if let copy = claim.copy { copies.append(copy) }
        beginning.insert(request)
        return .begins(computed: claim.tokenCount)
    }

    private func awaitsAnother(_ order: SequenceOrder, beside beginning: Set<RequestID>, blockSize: Int) -> Bool {
        queries.values.contains { other in
            guard other.hasBegun || beginning.contains(other.order.attempt.request), other.rank < order.rank,
                other.order.cacheSalt == order.cacheSalt
            else { return false }
            return order.commonReusableCount(with: other.order) / blockSize * blockSize > other.computed
        }
    }

    /// What is computed of a prompt becomes known.
    mutating func keepPrefix(of request: RequestID, upTo computed: Int, in pool: inout BlockPool) {
        queries[request]?.keepPrefix(upTo: computed, in: &pool)
    }

    /// The step is over. Returns what it computed: of queries that are still wanted, how far they have come is noted.
    mutating func finish(in pool: inout BlockPool) -> [RunningPrefill.Chunk] {
        let chunks = running
        running = []
        for chunk in chunks {
            pool.release(chunk.blocks)
            guard chunk.isLive else { continue }
            guard let query = queries[chunk.attempt.request] else { preconditionFailure("\(chunk) without a query") }
            queue.advance(query.rank, to: chunk.range.upperBound)
        }
        return chunks
    }

    func checkInvariants() {
        queue.checkInvariants()
        // A whole prompt leaves the queue before its query is embedded, in the same event.
        precondition(queue.count == queries.count, "\(queue.count) prompts queued of \(queries.count)")
        for chunk in running where chunk.isLive {
            precondition(queries[chunk.attempt.request]?.order.attempt == chunk.attempt, "\(chunk) of nobody")
        }
    }
}
