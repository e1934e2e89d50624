import ClusterCore

/// Watches that no sender sends more than its receiver allowed.
struct CreditLedger {
    private struct Transfer: Hashable {
        var epoch: ClusterEpoch
        var attempt: AttemptID
    }

    /// Layer blocks, in total since the opening.
    private var limits: [Transfer: Int] = [:]
    private var sent: [Transfer: Int] = [:]

    mutating func allow(_ limit: Int, _ epoch: ClusterEpoch, _ attempt: AttemptID) {
        limits[Transfer(epoch: epoch, attempt: attempt), default: 0].formMax(limit)
    }

    /// What is wrong, if anything.
    mutating func send(_ blocks: KVBlocks) -> String? {
        let transfer = Transfer(epoch: blocks.epoch, attempt: blocks.attempt)
        sent[transfer, default: 0] += blocks.range.count
        let (sent, limit) = (sent[transfer, default: 0], limits[transfer, default: 0])
        return sent > limit ? "\(blocks.attempt) sent \(sent) layer blocks with a credit of \(limit)" : nil
    }
}

extension Int {
    fileprivate mutating func formMax(_ other: Int) { self = Swift.max(self, other) }
}
