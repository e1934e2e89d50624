/// In what order a job runs, and which of its prompts run together: what
/// ``BatchPlanner/plan(prompts:expectedAnswerLengths:options:)`` found.
public struct BatchPlan: Sendable, Hashable {
    /// In order of execution. Every prompt is a member of exactly one of them.
    public internal(set) var groups: [PlannedGroup]
    /// All prefixes that two or more prompts share and that are long enough to count, each before its parent: what a tree that
    /// shares on several levels keeps.
    public let prefixes: [PlannedPrefix]
    /// Of all prompts, in tokens.
    public internal(set) var promptTokens = 0
    /// Prompt tokens that need not be computed if every prefix is computed once: the most that sharing can save.
    public internal(set) var mostSavedTokens = 0

    init(groups: [PlannedGroup], prefixes: [PlannedPrefix]) {
        self.groups = groups
        self.prefixes = prefixes
    }

    /// Prompt tokens that need not be computed because each group's prefix is computed once.
    public var savedTokens: Int { groups.reduce(0) { $0 + ($1.members.count - 1) * $1.prefixLength } }

    /// What a request says of the group that it is planned in; `nil` for a prompt by itself. Its number is the place in
    /// ``groups``, which a group that has begun keeps.
    public func prefixGroup(_ group: Int) -> PrefixGroup? {
        let planned = groups[group]
        guard planned.prefixLength > 0, planned.members.count > 1 else { return nil }
        return PrefixGroup(
            id: UInt64(group), prefixCount: Int32(clamping: planned.prefixLength), memberCount: Int32(clamping: planned.members.count))
    }

    /// Prompts in order of execution.
    public var order: [Int] { groups.flatMap(\.members) }

    /// Orders the groups that have not begun anew, when more is known about the lengths of answers.
    /// - Parameters:
    ///   - first: place of the first group that may move.
    ///   - promptLengths: of all prompts of the job, in tokens.
    ///   - expectedAnswerLengths: likewise.
    public mutating func reorder(
        by order: BatchPlanner.Order, from first: Int = 0, promptLengths: [Int], expectedAnswerLengths: [Int]
    ) {
        var keyed = groups[first...].map { group in
            var group = group
            switch order {
            case .arrival: group.members.sort()
            case .decodeRatio:
                group.members.sort { (-expectedAnswerLengths[$0], $0) < (-expectedAnswerLengths[$1], $1) }
            }
            return (group: group, ratio: order == .arrival ? 0 : group.decodeRatio(promptLengths, expectedAnswerLengths))
        }
        // No two groups have the same first prompt, so that this is one order and not any.
        let earliest = keyed.map { $0.group.members.min() ?? 0 }
        let places = keyed.indices.sorted { (-keyed[$0].ratio, earliest[$0]) < (-keyed[$1].ratio, earliest[$1]) }
        keyed = places.map { keyed[$0] }
        groups.replaceSubrange(first..., with: keyed.map(\.group))
    }
}

extension BatchPlan {
    /// The groups in drawn order, to measure others against.
    /// - Parameter below: a number from 0 up to, but not including, its argument.
    public mutating func shuffleGroups(_ below: (Int) -> Int) {
        for place in groups.indices.reversed() { groups.swapAt(place, below(place + 1)) }
    }
}

/// Prompts that run together because they begin with the same tokens.
public struct PlannedGroup: Sendable, Hashable {
    /// Tokens that all members begin with, and that are computed once; 0 for a prompt by itself. Less than any member's
    /// length: a prompt's last token is always its own.
    public let prefixLength: Int
    /// Indexes of prompts, in order of execution; at least one.
    public internal(set) var members: [Int]
    /// Index in ``BatchPlan/prefixes`` of a prefix that all members begin with, for sharing on several levels: the group's own,
    /// or for a prompt by itself the longest that it shares with any other.
    public let prefix: Int?

    /// Answer tokens for each prompt token that has to be computed.
    func decodeRatio(_ promptLengths: [Int], _ expectedAnswerLengths: [Int]) -> Double {
        var (decode, prefill) = (0.0, Double(prefixLength))
        for member in members {
            decode += Double(expectedAnswerLengths[member])
            prefill += Double(promptLengths[member] - prefixLength)
        }
        return decode / max(prefill, 1)
    }
}

/// A prefix that several prompts of a job have in common, and after which they differ.
public struct PlannedPrefix: Sendable, Hashable {
    /// In tokens, from the beginning of the prompt.
    public let length: Int
    /// Prompts that begin with it.
    public let promptCount: Int
    /// One of these prompts.
    public let example: Int
    /// Index of the longest shorter prefix in ``BatchPlan/prefixes``.
    public let parent: Int?
}
