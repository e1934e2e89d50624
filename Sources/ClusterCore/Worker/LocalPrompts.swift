import OrderedCollections

/// The prompts that a mixed worker computes itself, beside the rows of its batch.
///
/// Their blocks are those of their grants, so that a prompt whose turn comes never waits for any. A step keeps a
/// reference to the blocks that it writes, whatever becomes of the query meanwhile.
struct LocalPrompts: Sendable {
    /// Granted, with blocks, and not whole yet.
    private(set) var queries: OrderedDictionary<RequestID, DecodeQuery> = [:]
    private var queue = PrefillQueue()
    /// What the engine computes now.
    private var running: [RunningPrefill.Chunk] = []

    var count: Int { queries.count }
    var ranks: [Rank] { queries.values.map(\.rank) }
    var isComputing: Bool { !running.isEmpty }
    /// Some of what is computed now is not wanted any more; its blocks come free when the step is over.
    var hasLeavingChunks: Bool { running.contains { !$0.isLive } }
    /// References to blocks that the running step holds.
    var runningReferences: Int { running.reduce(0) { $0 + $1.blocks.count } }

    mutating func insert(_ query: DecodeQuery) {
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
        /// Those whose first chunk is among them.
        var started: [AttemptID] = []
    }

    /// Takes prompts into a step that has `rows` token rows already, and begins to compute them.
    mutating func begin(_ share: StepPlan.Prompts, beside rows: Int, in pool: inout BlockPool) -> Plan {
        precondition(running.isEmpty, "chunks are being computed: \(running)")
        var plan = Plan()
        for chunk in chunks(share, beside: rows) {
            guard let query = queries[chunk.request] else { preconditionFailure("\(chunk) without a query") }
            pool.retain(query.blocks)
            running.append(RunningPrefill.Chunk(chunk, of: query.order, in: query.blocks))
            plan.chunks.append(PrefillStep.Chunk(chunk, of: query.order, in: query.blocks))
            if chunk.range.lowerBound == 0 { plan.started.append(query.order.attempt) }
        }
        return plan
    }

    private mutating func chunks(_ share: StepPlan.Prompts, beside rows: Int) -> [PrefillQueue.Chunk] {
        switch share {
        case .none: return []
        case .chunks(let stepTokens): return queue.plan(tokenBudget: stepTokens - rows) { _, _ in true }
        case .whole(let count):
            var room = count
            return queue.plan(tokenBudget: .max) { _, _ in
                room -= 1
                return room >= 0
            }
        }
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
