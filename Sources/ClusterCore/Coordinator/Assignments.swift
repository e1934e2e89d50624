import OrderedCollections

/// What a prefill worker has to do, as far as the coordinator knows.
struct PrefillAssignments: Sendable {
    /// Those whose prompt it computes or whose KV it holds.
    var requests: OrderedSet<RequestID> = []
    /// Tokens of their prompts.
    var outstandingTokens = 0
}

/// What a decode worker has been granted.
struct DecodeAssignments: Sendable {
    var requests: OrderedSet<RequestID> = []
    /// Blocks granted, and those grown beyond the grant.
    var chargedBlocks = 0
}

/// Tokens of the longest sequence that some worker of each role can hold; `nil` without a worker.
struct GreatestReach: Sendable {
    var prefill: Int?
    var decode: Int?
}
