import OrderedCollections

/// What a prefill or mixed worker has to compute, as far as the coordinator knows.
struct PrefillAssignments: Sendable {
    /// Those whose prompt it computes or whose KV it holds.
    private(set) var requests: OrderedSet<RequestID> = []
    private(set) var counts = PriorityTally()
    /// Tokens of their prompts that have to be computed there.
    private(set) var outstandingTokens = PriorityTally()

    mutating func insert(_ rank: Rank, tokens: Int) {
        requests.append(rank.request)
        counts.add(1, rank.priority)
        outstandingTokens.add(tokens, rank.priority)
    }

    mutating func remove(_ rank: Rank, tokens: Int) {
        requests.remove(rank.request)
        counts.add(-1, rank.priority)
        outstandingTokens.add(-tokens, rank.priority)
    }

    mutating func charge(_ tokens: Int, more rank: Rank) { outstandingTokens.add(tokens, rank.priority) }
}

/// What a decode or mixed worker has been granted, and what it has parked.
struct DecodeAssignments: Sendable {
    private(set) var requests: OrderedSet<RequestID> = []
    private(set) var counts = PriorityTally()
    /// Blocks granted, and those grown beyond the grant.
    private(set) var chargedBlocks = PriorityTally()
    /// Those whose KV lies in its parking store, for itself or on its way to another worker.
    var parked: OrderedSet<RequestID> = []
    /// Of prompts whose KV is whole there.
    var shared = SharedBlocks()

    mutating func insert(_ rank: Rank, blocks: Int) {
        requests.append(rank.request)
        counts.add(1, rank.priority)
        chargedBlocks.add(blocks, rank.priority)
    }

    mutating func remove(_ rank: Rank, blocks: Int) {
        requests.remove(rank.request)
        counts.add(-1, rank.priority)
        chargedBlocks.add(-blocks, rank.priority)
    }

    mutating func charge(_ blocks: Int, more rank: Rank) { chargedBlocks.add(blocks, rank.priority) }
}

/// Tokens of the longest sequence that some worker of each role can hold; `nil` without a worker.
struct GreatestReach: Sendable {
    var prefill: Int?
    var decode: Int?
    var mixed: Int?

    /// Whether anybody could serve anything.
    var servesAny: Bool { mixed != nil || prefill != nil && decode != nil }

    /// Whether a prefill and a decode worker, or a mixed worker alone, could hold the request.
    func serves(_ request: ServingRequest) -> Bool {
        if let mixed, request.greatestLength <= mixed { return true }
        if request.endsWithPrefill, let prefill, request.tokens.count <= prefill { return true }
        guard let prefill, let decode else { return false }
        return request.tokens.count <= prefill && request.greatestLength <= decode
    }

    /// Tokens of prompt and answer beyond which nobody could serve a request; `nil` without a worker.
    var limit: Int? {
        let pair = [prefill, decode].compactMap { $0 }.min()
        return [pair, mixed].compactMap { $0 }.max()
    }
}
