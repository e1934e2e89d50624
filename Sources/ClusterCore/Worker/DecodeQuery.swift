import Generation

/// A query that was granted blocks: those for the KV to come, and some set aside for growth.
struct DecodeQuery: Sendable {
    var order: SequenceOrder
    var blocks: [BlockID]
    /// Blocks set aside in the pool.
    var reserved: Int

    var rank: Rank { order.rank }
}
