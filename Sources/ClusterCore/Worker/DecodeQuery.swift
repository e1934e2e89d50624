import Generation

/// A query that was granted blocks: those for the KV to come, and some set aside for growth.
struct DecodeQuery: Sendable {
    var order: SequenceOrder
    var blocks: [BlockID]
    /// Blocks set aside in the pool.
    var reserved: Int
    /// First blocks whose KV was here already: others' too, never to be written.
    var sharedCount = 0
    /// Of a prompt that is computed here: a step has taken of it.
    var hasBegun = false
    /// Tokens of it whose KV is there.
    var computed = 0

    var rank: Rank { order.rank }
}
