import ClusterCore
import Dispatch

/// Decides in which order the lines of a batch run, and which belong together.
public protocol LinePlanner: Sendable {
    /// Tokens of prompts that are planned together; a longer job is planned in several parts, one after the other.
    var maxTokens: Int { get }
    /// - Returns: groups in the order in which to run; each line is in exactly one.
    func groups(of lines: [LineOutline]) async -> [LineGroup]
}

/// Lines that run one after the other.
public struct LineGroup: Sendable, Hashable {
    /// Indexes of lines, in order; at least one.
    public var members: [Int]
    /// Tokens that all of them begin with.
    public var prefixTokens: Int

    public init(members: [Int], prefixTokens: Int = 0) {
        self.members = members
        self.prefixTokens = prefixTokens
    }
}

/// Lines that begin alike run one after the other, and those with long answers early: the plan of ``BatchPlanner``.
public struct PrefixPlanner: LinePlanner {
    public let maxTokens: Int
    /// Away from Swift's pool, which has few threads: a large job takes seconds.
    private let queue = DispatchQueue(label: "baton.job-planner")

    /// - Parameter maxTokens: four bytes each while they are planned.
    public init(maxTokens: Int = 32 << 20) { self.maxTokens = maxTokens }

    public func groups(of lines: [LineOutline]) async -> [LineGroup] {
        await withCheckedContinuation { done in
            queue.async { done.resume(returning: Self.plan(lines)) }
        }
    }

    /// Lines without a prompt cannot be answered, and say so first.
    private static func plan(_ lines: [LineOutline]) -> [LineGroup] {
        let (bad, good) = (lines.indices.filter { lines[$0].prompt.isEmpty }, lines.indices.filter { !lines[$0].prompt.isEmpty })
        let plan = BatchPlanner.plan(
            prompts: good.map { lines[$0].prompt }, expectedAnswerLengths: good.map { Int(Int32(clamping: lines[$0].answerTokens)) })
        return bad.map { LineGroup(members: [$0]) }
            + plan.groups.map { group in LineGroup(members: group.members.map { good[$0] }, prefixTokens: group.prefixLength) }
    }
}
