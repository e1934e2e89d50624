/// How much work each worker was given lately, in tokens: what keeps the load even in the long run, where queues are too short to tell.
struct WorkHistory: Sendable {
    /// Of one worker, on average; beyond that all are halved.
    private static let memory = 1 << 18

    /// By worker slot; `nil` where there is no worker.
    private var work: [Int?] = []
    private var total = 0
    private var count = 0

    /// A worker begins with as much as the others have, so that it is given no more than they are.
    mutating func begin(_ slot: Int) {
        while work.count <= slot { work.append(nil) }
        end(slot)
        let mean = mean
        work[slot] = mean
        total += mean
        count += 1
    }

    mutating func end(_ slot: Int) {
        guard work.indices.contains(slot), let former = work[slot] else { return }
        work[slot] = nil
        total -= former
        count -= 1
    }

    /// - Returns: whether the figures of all workers have changed.
    mutating func add(_ tokens: Int, to slot: Int) -> Bool {
        guard let former = self[slot] else { return false }
        work[slot] = max(0, former + tokens)
        total += max(0, former + tokens) - former
        guard total > Self.memory * count else { return false }
        for slot in work.indices { work[slot] = work[slot].map { $0 / 2 } }
        total = work.reduce(0) { $0 + ($1 ?? 0) }
        return true
    }

    subscript(slot: Int) -> Int? { work.indices.contains(slot) ? work[slot] : nil }

    /// What a worker was given beyond the average.
    func excess(of slot: Int) -> Int { max(0, (self[slot] ?? 0) - mean) }

    private var mean: Int { count > 0 ? total / count : 0 }
}
