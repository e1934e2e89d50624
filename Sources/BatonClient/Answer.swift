import ClusterCore
import Generation

/// What happens to a request, in order.
public enum AnswerEvent: Sendable, Hashable {
    /// Always first; carries the seed that reproduces the answer.
    case accepted(Acceptance)
    /// Consecutive tokens from `firstIndex` on, and the text that they complete.
    case tokens(firstIndex: Int32, tokens: [TokenID], text: String)
    /// Always last.
    case finished(Completion)
}

/// A complete answer.
public struct Answer: Sendable, Hashable {
    public var text: String
    public var tokens: [TokenID]
    public var acceptance: Acceptance
    public var completion: Completion

    public init(text: String, tokens: [TokenID], acceptance: Acceptance, completion: Completion) {
        self.text = text
        self.tokens = tokens
        self.acceptance = acceptance
        self.completion = completion
    }
}

/// Puts an answer together and checks that the stream was whole: one acceptance, dense token indexes, one end.
struct AnswerAssembly {
    private var acceptance: Acceptance?
    private var tokenCount: Int32 = 0
    private(set) var isFinished = false

    /// - Throws: ``ClientError/brokenStream(_:)`` if a message is missing, repeated or out of order.
    mutating func take(_ event: AnswerEvent) throws(ClientError) {
        if isFinished { throw .brokenStream("a message after the end") }
        switch event {
        case .accepted(let acceptance):
            guard self.acceptance == nil else { throw .brokenStream("accepted twice") }
            self.acceptance = acceptance
        case .tokens(let firstIndex, let tokens, _):
            guard acceptance != nil else { throw .brokenStream("tokens before the acceptance") }
            guard firstIndex == tokenCount else {
                throw .brokenStream("token \(firstIndex) where \(tokenCount) was due")
            }
            tokenCount += Int32(clamping: tokens.count)
        case .finished(let completion):
            guard acceptance != nil else { throw .brokenStream("finished before the acceptance") }
            guard completion.tokenCount == tokenCount else {
                throw .brokenStream("ended after \(tokenCount) of \(completion.tokenCount) tokens")
            }
            isFinished = true
        }
    }
}

/// Why the connection, not a request, is at fault. (A request that the cluster refused or failed throws
/// `RequestFailure`.)
public enum ClientError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Nobody answered at the endpoint in time.
    case unreachable(endpoint: String, waited: Duration)
    /// The connection ended, or the coordinator restarted, while requests were open.
    case connectionLost(String)
    /// The other side broke its own rules.
    case brokenStream(String)
    case closed

    public var description: String {
        switch self {
        case .unreachable(let endpoint, let waited): "no coordinator answered at \(endpoint) within \(waited)"
        case .connectionLost(let why): "connection to the coordinator lost: \(why)"
        case .brokenStream(let what): "broken answer stream: \(what)"
        case .closed: "the client is closed"
        }
    }
}
