import OrderedCollections

/// A ``PrefixGroup`` with members, from the first that is accepted until its prefix is released on all workers.
struct ServingGroup: Sendable {
    /// What its client, or whoever it belongs to, knows it by.
    struct Key: Sendable, Hashable {
        var client: ClientID
        var id: UInt64
    }

    let key: Key
    let prefixCount: Int
    /// Members that there will be, as the client says.
    let memberCount: Int
    /// Members accepted and not ended.
    var openCount = 0
    var endedCount = 0
    /// Worker slots that were given members, each of which may keep the prefix.
    var workers: OrderedSet<Int> = []
    /// Since when no member is open.
    var idleSince: Instant?

    init(_ group: PrefixGroup, under key: Key) {
        self.key = key
        prefixCount = Int(group.prefixCount)
        memberCount = Int(group.memberCount)
    }

    /// All members have been here.
    var isComplete: Bool { openCount == 0 && endedCount >= memberCount }
}
