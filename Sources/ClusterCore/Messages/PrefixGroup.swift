/// Requests whose prompts begin with the same tokens and that are planned together, as their client states it.
///
/// The group's prefix is computed once, by its first member; the others wait for that. It stays where it is, whatever else
/// needs room, from then until all members have ended, or until none has been open for a while
/// (``Scheduler/Configuration/groupLinger``). A group changes when and where its members are computed, never what they
/// answer.
public struct PrefixGroup: Sendable, Hashable {
    /// The client's own number of the group.
    public var id: UInt64
    /// So many first tokens of the prompt are the same in every member.
    public var prefixCount: Int32
    /// Members in all; the group ends with the last of them.
    public var memberCount: Int32

    public init(id: UInt64, prefixCount: Int32, memberCount: Int32) {
        self.id = id
        self.prefixCount = prefixCount
        self.memberCount = memberCount
    }
}

/// A group as coordinator and workers know it: numbered by the coordinator from 1, never used again in its life.
public struct GroupID: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    public static func < (a: GroupID, b: GroupID) -> Bool { a.rawValue < b.rawValue }
    public var description: String { "g\(rawValue)" }
}

/// What a worker has to know of a sequence's group.
public struct GroupMembership: Sendable, Hashable {
    public var group: GroupID
    /// The KV of so many first tokens is pinned until ``CoordinatorMessage/releaseGroup(_:)``; whole blocks of it.
    public var prefixCount: Int

    public init(group: GroupID, prefixCount: Int) {
        self.group = group
        self.prefixCount = prefixCount
    }
}
