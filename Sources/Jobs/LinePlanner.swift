import ClusterCore
import Dispatch

/// Decides in which order the lines of a batch run.
public protocol LinePlanner: Sendable {
    /// Tokens of prompts that are planned together; a longer job is planned in several parts, one after the other.
    var maxTokens: Int { get }
    /// - Returns: indexes of `lines`, each once, in the order in which to run.
    func order(of lines: [LineOutline]) async -> [Int]
}

/// Lines that begin alike run one after the other, and those with long answers early: the plan of ``BatchPlanner``.
public struct PrefixPlanner: LinePlanner {
    public let maxTokens: Int
    /// Away from Swift's pool, which has few threads: a large job takes seconds.
    private let queue = DispatchQueue(label: "baton.job-planner")

    /// - Parameter maxTokens: four bytes each while they are planned.
    public init(maxTokens: Int = 32 << 20) { self.maxTokens = maxTokens }

    public func order(of lines: [LineOutline]) async -> [Int] {
        await withCheckedContinuation { done in
            queue.async { done.resume(returning: Self.plan(lines)) }
        }
    }

    /// Lines without a prompt cannot be answered, and say so first.
    private static func plan(_ lines: [LineOutline]) -> [Int] {
        let (bad, good) = (lines.indices.filter { lines[$0].prompt.isEmpty }, lines.indices.filter { !lines[$0].prompt.isEmpty })
        let plan = BatchPlanner.plan(
            prompts: good.map { lines[$0].prompt }, expectedAnswerLengths: good.map { Int(Int32(clamping: lines[$0].maxTokens)) })
        return bad + plan.order.map { good[$0] }
    }
}
