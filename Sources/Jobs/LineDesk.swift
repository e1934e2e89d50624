/// Whoever answers lines: the same desk that answers requests of clients.
public protocol LineDesk: Sendable {
    /// Name of the model that is served.
    var modelName: String { get }
    /// What the cluster has for lines, as it is now.
    func room() async -> LineRoom
    /// Asks as a client would, at low priority. Ends early, with any reply, when the task is cancelled.
    func answer(_ line: JobLine) async -> LineReply
    /// What planning has to know of a line; `nil` if the line cannot be answered.
    func outline(of line: JobLine) async -> LineOutline?
}

/// What there is for lines besides the requests of clients, which come first.
public struct LineRoom: Sendable, Hashable {
    /// Lines that are worth having under way at the same time.
    public var lines: Int
    /// What they may hold; `nil` if that is not known.
    public var memory: Memory?

    public struct Memory: Sendable, Hashable {
        /// Of KV.
        public var blocks: Int
        /// Tokens in a block; at least 1.
        public var blockSize: Int

        public init(blocks: Int, blockSize: Int) {
            self.blocks = blocks
            self.blockSize = blockSize
        }
    }

    public init(lines: Int, memory: Memory? = nil) {
        self.lines = lines
        self.memory = memory
    }
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
    /// Most tokens that an answer may have.
    public var maxTokens: Int
    /// Prompts, and choices of each.
    public var promptCount: Int
    public var choiceCount: Int
    /// The answer ends before that only if the model says so.
    public var hasFixedLength: Bool

    public init(prompt: [Int32], maxTokens: Int, promptCount: Int = 1, choiceCount: Int = 1, hasFixedLength: Bool) {
        self.prompt = prompt
        self.maxTokens = maxTokens
        self.promptCount = promptCount
        self.choiceCount = choiceCount
        self.hasFixedLength = hasFixedLength
    }
    /// Of all prompts.
    var promptTokens: Int { Self.product(prompt.count, promptCount) }
    /// Of all answers, at most.
    var answerTokens: Int { Self.product(maxTokens, Self.product(promptCount, choiceCount)) }

    private static func product(_ a: Int, _ b: Int) -> Int {
        let (product, overflow) = a.multipliedReportingOverflow(by: b)
        return min(overflow ? .max : product, Int(Int32.max))
    }
}
