/// Decides in which order the lines of a batch run.
public protocol LinePlanner: Sendable {
    /// Tokens of prompts that are planned together; a longer job is planned in several parts, one after the other.
    var maxTokens: Int { get }
    /// - Returns: indexes of `lines`, each once, in the order in which to run.
    func order(of lines: [LineOutline]) async -> [Int]
}
