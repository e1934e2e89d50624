/// Whoever answers lines: the same desk that answers requests of clients.
public protocol LineDesk: Sendable {
    /// Name of the model that is served.
    var modelName: String { get }
    /// Lines that are worth having under way at the same time, as the cluster is now.
    func concurrency() async -> Int
    /// Asks as a client would, at low priority. Ends early, with any reply, when the task is cancelled.
    func answer(_ line: JobLine) async -> LineReply
    /// What planning has to know of a line; `nil` if the line cannot be answered.
    func outline(of line: JobLine) async -> LineOutline?
}

/// The answer to a line, as HTTP would give it.
public struct LineReply: Sendable, Hashable {
    public var status: Int
    /// JSON, on one line.
    public var body: [UInt8]
    public var requestID: String
    public var usage: Batch.Usage

    public init(status: Int, body: [UInt8], requestID: String, usage: Batch.Usage = Batch.Usage()) {
        self.status = status
        self.body = body
        self.requestID = requestID
        self.usage = usage
    }

    /// What to make of it.
    enum Verdict: Hashable {
        case isFinal
        /// Nothing was done: there is no room, or no worker, now.
        case tryLater
        /// Something went wrong that may go well another time, or never.
        case tryAgain
    }

    var verdict: Verdict {
        switch status {
        case 429, 503: .tryLater
        case 499, 500, 502: .tryAgain
        default: .isFinal
        }
    }
}

/// What planning has to know of a line.
public struct LineOutline: Sendable, Hashable {
    /// Tokens of the prompt; of several prompts, those of the first.
    public var prompt: [Int32]
    /// Most tokens that the answer may have.
    public var maxTokens: Int
    /// The answer ends before that only if the model says so.
    public var hasFixedLength: Bool

    public init(prompt: [Int32], maxTokens: Int, hasFixedLength: Bool) {
        self.prompt = prompt
        self.maxTokens = maxTokens
        self.hasFixedLength = hasFixedLength
    }
}
