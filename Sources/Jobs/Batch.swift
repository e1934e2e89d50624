/// A job: the requests of a file, answered each exactly once.
public struct Batch: Sendable, Hashable {
    /// OpenAI's states.
    public enum Status: String, Sendable, Hashable, CaseIterable {
        /// The file is being read; the lines that it brought so far are not asked.
        case validating
        /// The file cannot be used.
        case failed
        case inProgress = "in_progress"
        /// Every line has ended; the files are being made.
        case finalizing
        case completed
        /// Its time passed before every line was answered.
        case expired
        case cancelling
        case cancelled

        /// Something is still to be done.
        public var isOpen: Bool {
            switch self {
            case .validating, .inProgress, .finalizing, .cancelling: true
            case .failed, .completed, .expired, .cancelled: false
            }
        }
    }

    /// What is wrong with the file of a batch.
    public struct Problem: Sendable, Hashable, Codable {
        /// For programs, e.g. `duplicate_custom_id`.
        public var code: String
        public var message: String
        public var param: String?
        /// Of the file, counted from 1; `nil` for the file as a whole.
        public var line: Int?

        public init(code: String, message: String, param: String? = nil, line: Int? = nil) {
            self.code = code
            self.message = message
            self.param = param
            self.line = line
        }
    }

    /// Lines by what became of them.
    public struct Counts: Sendable, Hashable {
        public var total: Int64 = 0
        public var completed: Int64 = 0
        public var failed: Int64 = 0

        public var ended: Int64 { completed + failed }
    }

    /// Tokens of the lines that were answered.
    public struct Usage: Sendable, Hashable {
        public var promptTokens: Int64 = 0
        /// Of those, the ones whose KV did not have to be computed.
        public var cachedTokens: Int64 = 0
        public var completionTokens: Int64 = 0

        public init(promptTokens: Int64 = 0, cachedTokens: Int64 = 0, completionTokens: Int64 = 0) {
            self.promptTokens = promptTokens
            self.cachedTokens = cachedTokens
            self.completionTokens = completionTokens
        }
    }

    /// When it came to what, in seconds since 1970.
    public struct Times: Sendable, Hashable {
        public var created: Int64
        public var expires: Int64
        public var inProgress: Int64?
        public var finalizing: Int64?
        public var completed: Int64?
        public var failed: Int64?
        public var expired: Int64?
        public var cancelling: Int64?
        public var cancelled: Int64?
    }

    /// Grows with every batch; they are worked on in this order.
    public var number: Int64
    /// `batch_…`
    public var id: String
    /// Name of the model that its lines are for. Under another one it waits.
    public var model: String
    public var endpoint: BatchEndpoint
    public var window: CompletionWindow
    public var inputFile: String
    public var status: Status
    public var metadata: [String: String]
    public var problems: [Problem]
    /// Whether the lines have got the order in which to run.
    public var isPlanned: Bool
    public var counts: Counts
    public var usage: Usage
    public var times: Times
    public var outputFile: String?
    public var errorFile: String?
}

/// What the lines of a batch ask for; all of a batch the same.
public enum BatchEndpoint: String, Sendable, Hashable, CaseIterable {
    case completions = "/v1/completions"
    case chatCompletions = "/v1/chat/completions"
}

/// How long a batch may take, as a whole number of minutes, hours or days: `24h`.
public struct CompletionWindow: Sendable, Hashable {
    private static let longest: Int64 = 30 * 86_400

    /// As it was written.
    public let text: String
    public let seconds: Int64

    /// - Returns: `nil` if it is no such number, or more than 30 days.
    public init?(_ text: String) {
        let units: [Character: Int64] = ["m": 60, "h": 3600, "d": 86_400]
        guard let unit = text.last.flatMap({ units[$0] }), text.utf8.count <= 8, text.dropLast().allSatisfy(\.isWholeNumber),
            let count = Int64(text.dropLast()), count > 0, count <= Self.longest / unit
        else { return nil }
        self.text = text
        seconds = count * unit
    }
}

/// A batch that a client wants.
public struct BatchDraft: Sendable, Hashable {
    public var model: String
    public var endpoint: BatchEndpoint
    public var window: CompletionWindow
    public var inputFile: String
    public var metadata: [String: String]

    public init(
        model: String, endpoint: BatchEndpoint, window: CompletionWindow, inputFile: String, metadata: [String: String] = [:]
    ) {
        self.model = model
        self.endpoint = endpoint
        self.window = window
        self.inputFile = inputFile
        self.metadata = metadata
    }
}
