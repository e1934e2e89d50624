import Generation

/// One query in the running batch.
struct DecodeRow: Sendable {
    var attempt: AttemptID
    var rank: Rank
    /// The token to run next, and where its KV goes.
    var input: TokenID
    var position: Int
    /// Place in the answer of the token to sample next.
    var index: Int32
    var blockTable: [BlockID]
    /// Blocks before those of `blockTable` in the row's part of a dense tensor; nobody reads them.
    var padding: [BlockID] = []
    /// Blocks set aside in the pool for growth.
    var reserved: Int
    var sampling: SamplingParameters
    var stop: StopConditions
    var logprobs: Int?
    var constraint: Constraint?
    var promptCount: Int
    /// Prompt and answer so far, `input` included.
    var tokens: [TokenID]
    /// Sampling depends on more than the logits.
    let looksBack: Bool
    let cacheSalt: String
    var history: [TokenID]? { looksBack ? tokens : nil }
    /// When the KV became whole; `nil` once a token has been decoded from it.
    var wholeAt: Instant?
    /// A boundary has passed it by.
    var hasWaited = false
    /// Cancelled while an iteration runs; removed when it is over.
    var isLeaving = false
    /// Sits the next iteration out: the pool has no block for its next token yet.
    var isHeldBack = false
    /// To be parked at the next boundary.
    var isPreempted = false

    /// A query whose `tokens` have their KV in `blocks`, and `next` as the token sampled from them.
    init(_ query: DecodeQuery, next: TokenEvent) {
        attempt = query.order.attempt
        rank = query.rank
        input = next.token
        position = query.order.tokens.count
        index = next.index + 1
        blockTable = query.blocks
        reserved = query.reserved
        sampling = query.order.sampling
        stop = query.order.stop
        logprobs = query.order.logprobs
        constraint = query.order.constraint
        promptCount = query.order.promptCount
        tokens = query.order.tokens + [next.token]
        looksBack = query.order.looksBack
        cacheSalt = query.order.cacheSalt
    }
}

/// The running batch. Rows enter and leave only between two iterations.
///
/// A row keeps its *slot*, the number that people see, from insertion to removal; an iteration takes the occupied slots
/// in order and without gaps, so a row that left costs nothing.
struct DecodeBatch: Sendable {
    let blockSize: Int
    private(set) var slots: [DecodeRow?]
    private(set) var count = 0
    private(set) var isIterating = false
    private(set) var hasLeavingRows = false
    /// No slot before this one is free.
    private var firstFree = 0

    init(maxSequences: Int, blockSize: Int) {
        precondition(maxSequences > 0 && blockSize > 0, "\(maxSequences) rows, blocks of \(blockSize) tokens")
        self.blockSize = blockSize
        slots = Array(repeating: nil, count: maxSequences)
    }

    var isEmpty: Bool { count == 0 }
    var isFull: Bool { count == slots.count }

    /// Puts a row into the lowest free slot.
    mutating func insert(_ row: DecodeRow) -> Int {
        precondition(!isIterating && !isFull, "\(row.attempt) inserted into \(self)")
        while slots[firstFree] != nil { firstFree += 1 }
        slots[firstFree] = row
        count += 1
        return firstFree
    }

    mutating func remove(_ slot: Int) -> DecodeRow {
        precondition(!isIterating, "slot \(slot) removed during an iteration")
        guard let row = slots[slot] else { preconditionFailure("slot \(slot) removed but empty") }
        slots[slot] = nil
        count -= 1
        firstFree = min(firstFree, slot)
        return row
    }

    /// Rows of the running iteration.
    var computedCount: Int { slots.reduce(0) { $0 + ($1?.isHeldBack == false ? 1 : 0) } }

    mutating func preempt(_ slot: Int) { slots[slot]?.isPreempted = true }

    mutating func holdBack(_ slot: Int, _ isHeldBack: Bool) {
        precondition(!isIterating && slots[slot] != nil, "slot \(slot) is held back in \(self)")
        slots[slot]?.isHeldBack = isHeldBack
    }

    /// Marks a row to be removed when the running iteration is over.
    mutating func leave(_ slot: Int) {
        precondition(isIterating && slots[slot] != nil, "slot \(slot) leaves \(self)")
        slots[slot]?.isLeaving = true
        hasLeavingRows = true
    }

    enum Growth: Sendable, Hashable {
        case ready
        /// The block to be written was shared: copy its contents first.
        case copied(from: BlockID, to: BlockID)
        /// The pool has no block left.
        case exhausted
    }

    /// Makes sure that the row can write the KV of its next token: within a block of its own, or in a new one, from the
    /// row's reservation while that lasts.
    /// - Parameter touchingFresh: with memory that is being saved, if there is no other way.
    mutating func grow(_ slot: Int, in pool: inout BlockPool, touchingFresh: Bool = false) -> Growth {
        precondition(!isIterating, "slot \(slot) grows during an iteration")
        guard let row = slots[slot] else { preconditionFailure("slot \(slot) grows but is empty") }
        let block = row.position / blockSize
        precondition(block <= row.blockTable.count, "\(row.attempt) writes at \(row.position) of \(row.blockTable)")
        if block == row.blockTable.count { return append(to: slot, in: &pool, touchingFresh) }
        let old = row.blockTable[block]
        if row.reserved > 0, pool.referenceCount(of: old) > 1 {
            guard let new = pool.allocateReserved(touchingFresh: touchingFresh) else { return .exhausted }
            pool.release(old)
            slots[slot]?.reserved -= 1
            slots[slot]?.blockTable[block] = new
            return .copied(from: old, to: new)
        }
        switch try? pool.writable(old, touchingFresh: touchingFresh) {
        case nil: return .exhausted
        case .inPlace: return .ready
        case .copy(let new):
            slots[slot]?.blockTable[block] = new
            return .copied(from: old, to: new)
        }
    }

    private mutating func append(to slot: Int, in pool: inout BlockPool, _ touchingFresh: Bool) -> Growth {
        if let reserved = slots[slot]?.reserved, reserved > 0 {
            guard let block = pool.allocateReserved(touchingFresh: touchingFresh) else { return .exhausted }
            slots[slot]?.reserved -= 1
            slots[slot]?.blockTable.append(block)
        } else {
            guard let blocks = try? pool.allocate(1, touchingFresh: touchingFresh) else { return .exhausted }
            slots[slot]?.blockTable += blocks
        }
        return .ready
    }

    mutating func start() -> DecodeIteration {
        precondition(!isIterating && computedCount > 0, "an iteration starts in \(self)")
        isIterating = true
        return DecodeIteration(rows: slots.indices.compactMap(describe))
    }

    private func describe(_ slot: Int) -> DecodeIteration.Row? {
        guard let row = slots[slot], !row.isHeldBack else { return nil }
        let sampling = SamplingContext(
            parameters: row.sampling, index: row.index, history: row.history, promptCount: row.promptCount,
            maskedTokens: row.stop.maskedTokens(at: row.index), logprobs: row.logprobs, constraint: row.constraint,
            endTokens: row.stop.endTokens)
        return DecodeIteration.Row(
            slot: slot, attempt: row.attempt, input: row.input, position: row.position, blockTable: row.blockTable,
            sampling: sampling)
    }

    struct Outcome: Sendable {
        enum Kind: Sendable {
            case goesOn(TokenEvent)
            case ended(TokenEvent)
            case failed(SampleFailure)
            /// Was cancelled meanwhile; the token is of no interest.
            case left
        }
        var slot: Int
        var kind: Kind
    }

    /// Takes the samples of the iteration, one a row in row order. Rows that do not go on are still there: the caller
    /// removes them.
    mutating func finish(_ samples: [Sample]) -> [Outcome] {
        precondition(isIterating && samples.count == computedCount, "\(samples.count) samples for \(self)")
        isIterating = false
        hasLeavingRows = false
        var next = samples.makeIterator()
        var outcomes: [Outcome] = []
        outcomes.reserveCapacity(count)
        for slot in slots.indices {
            guard let row = slots[slot] else { continue }
            if row.isHeldBack {
                if row.isLeaving { outcomes.append(Outcome(slot: slot, kind: .left)) }
            } else if let sample = next.next() {
                outcomes.append(Outcome(slot: slot, kind: take(sample, slot)))
            }
        }
        return outcomes
    }

    private mutating func take(_ sample: Sample, _ slot: Int) -> Outcome.Kind {
        guard let row = slots[slot] else { preconditionFailure("slot \(slot) is empty") }
        precondition(sample.attempt == row.attempt, "sample of \(sample.attempt) for \(row.attempt) in slot \(slot)")
        if row.isLeaving { return .left }
        switch sample.event(as: row.attempt, at: row.index) {
        case .failure(let failure): return .failed(failure)
        case .success(let event):
            if row.stop.finishReason(after: event.token, at: row.index) != nil { return .ended(event) }
            slots[slot]?.advance(with: event.token)
            return .goesOn(event)
        }
    }

    /// When the KV of a row that has just got its first token became whole; `nil` if the token is a later one.
    mutating func takeWholeAt(_ slot: Int) -> Instant? {
        let time = slots[slot]?.wholeAt
        slots[slot]?.wholeAt = nil
        return time
    }

    /// Puts a row's KV elsewhere in its part of a dense tensor.
    mutating func place(_ slot: Int, padding: [BlockID], blockTable: [BlockID]) {
        precondition(!isIterating && slots[slot] != nil, "slot \(slot) is shaped in \(self)")
        slots[slot]?.padding = padding
        slots[slot]?.blockTable = blockTable
    }

    /// Some row has padding.
    var isPadded: Bool { slots.contains { !($0?.padding.isEmpty ?? true) } }

    func checkInvariants() {
        precondition(slots.reduce(0) { $0 + ($1 == nil ? 0 : 1) } == count, "\(count) rows counted in \(slots)")
        precondition(slots[..<firstFree].allSatisfy { $0 != nil }, "a free slot before \(firstFree) in \(slots)")
        for row in slots {
            guard let row else { continue }
            precondition(isIterating || !row.isLeaving, "\(row.attempt) should have left")
            precondition(row.reserved >= 0, "\(row.attempt) has \(row.reserved) blocks reserved")
            let needed = (row.position + blockSize - 1) / blockSize
            precondition(
                row.blockTable.count >= needed, "\(row.blockTable) for \(row.position) tokens of \(row.attempt)")
        }
    }
}

extension DecodeRow {
    fileprivate mutating func advance(with token: TokenID) {
        input = token
        position += 1
        index += 1
        tokens.append(token)
    }
}

extension DecodeBatch: CustomStringConvertible {
    var description: String { "batch of \(count) in \(slots.count) slots\(isIterating ? ", iterating" : "")" }
}
