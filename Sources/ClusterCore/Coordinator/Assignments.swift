import OrderedCollections

/// What a prefill or mixed worker has to compute, as far as the coordinator knows.
struct PrefillAssignments: Sendable {
    /// Those whose prompt it computes or whose KV it holds.
    var requests: OrderedSet<RequestID> = []
    /// Tokens of their prompts.
    var outstandingTokens = 0
}

/// What a decode or mixed worker has been granted.
struct DecodeAssignments: Sendable {
    var requests: OrderedSet<RequestID> = []
    /// Blocks granted, and those grown beyond the grant.
    var chargedBlocks = 0
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
        guard let prefill, let decode else { return false }
        return request.tokens.count <= prefill && request.greatestLength <= decode
    }

    /// Tokens of prompt and answer beyond which nobody could serve a request; `nil` without a worker.
    var limit: Int? {
        let pair = [prefill, decode].compactMap { $0 }.min()
        return [pair, mixed].compactMap { $0 }.max()
    }
}
