/// What the workers that decode have for requests of a priority: all that requests of higher ones do not hold.
public struct ClusterRoom: Sendable, Hashable {
    public var rows: Int
    /// Of KV.
    public var blocks: Int
    /// Tokens in a block; 0 before the first worker came.
    public var blockSize: Int

    public init(rows: Int = 0, blocks: Int = 0, blockSize: Int = 0) {
        self.rows = rows
        self.blocks = blocks
        self.blockSize = blockSize
    }
}

extension Scheduler {
    /// Counted over all workers that take new work. Blocks that several of the others share count for each of them, so that
    /// rather less is said to be there.
    public func room(for priority: Priority) -> ClusterRoom {
        let higher = Priority.allCases.first { $0 > priority }
        var room = ClusterRoom(blockSize: membership.geometry?.blockSize ?? 0)
        for slot in decodeWorkers.indices {
            guard let assignments = decodeWorkers[slot], membership.members[slot].takesNewWork else { continue }
            let member = membership.members[slot]
            room.rows += max(0, member.rowLimit - (higher.map { assignments.counts.atLeast($0) } ?? 0))
            let held = higher.map { assignments.chargedBlocks.atLeast($0) } ?? 0
            room.blocks += max(0, member.registration.blockCount - held)
        }
        return room
    }
}
