import JSONReader

/// A request of a batch.
public struct JobLine: Sendable, Hashable {
    public var batch: Int64
    /// Of the file, counted from 0.
    public var number: Int64
    public var customID: String
    public var endpoint: BatchEndpoint
    /// The line as it was uploaded.
    public var request: [UInt8]
    /// Of its random numbers, unless the request brings one.
    public var seed: UInt64
    /// Its place among the lines of its batch; no two have the same.
    public var rank: Int64
    /// What planning has found; `nil` for a line that cannot be answered, or was not planned.
    public var plan: LinePlan?

    public init(
        batch: Int64, number: Int64, customID: String, endpoint: BatchEndpoint, request: [UInt8], seed: UInt64, rank: Int64, plan: LinePlan? = nil
    ) {
        self.batch = batch
        self.number = number
        self.customID = customID
        self.endpoint = endpoint
        self.request = request
        self.seed = seed
        self.rank = rank
        self.plan = plan
    }
}

extension JobLine {
    /// Of the lines that begin alike: another one for each group of each batch.
    public var groupID: UInt64? { plan?.group.map { UInt64(clamping: batch) << 32 ^ UInt64(clamping: $0.number) } }
}

/// What is known of a line before it runs.
public struct LinePlan: Sendable, Hashable {
    /// Tokens of its prompts, and the most that its answers may have: all of its prompts and choices together.
    public var promptTokens: Int
    public var answerTokens: Int
    /// Lines that begin alike and run one after the other.
    public var group: Group?

    public struct Group: Sendable, Hashable {
        /// Of its batch: rank of the first line.
        public var number: Int64
        /// Tokens that the prompts of all its lines begin with.
        public var prefixTokens: Int
        public var lineCount: Int

        public init(number: Int64, prefixTokens: Int, lineCount: Int) {
            self.number = number
            self.prefixTokens = prefixTokens
            self.lineCount = lineCount
        }
    }

    public init(promptTokens: Int, answerTokens: Int, group: Group? = nil) {
        self.promptTokens = promptTokens
        self.answerTokens = answerTokens
        self.group = group
    }
}

/// What became of a line.
enum LineState: String, Sendable, Hashable {
    case waiting
    case answered
    case failed
}

/// What a line of a batch's file must be, before anybody looks at what it asks:
/// `{"custom_id": …, "method": "POST", "url": …, "body": {…}}`.
struct LineEnvelope: Sendable, Hashable {
    private static let longestID = 512

    var customID: String

    /// - Parameter number: of the file, counted from 1, for what is wrong.
    init(_ line: [UInt8], number: Int, endpoint: BatchEndpoint) throws(LineProblem) {
        func problem(_ code: String, _ message: String, _ param: String? = nil) -> LineProblem {
            LineProblem(problem: Batch.Problem(code: code, message: message, param: param, line: number))
        }
        let document: JSONDocument
        do {
            document = try JSONDocument(file: "line \(number)", source: line)
        } catch {
            throw problem("invalid_json_line", "this line is not valid JSON: \(error)")
        }
        guard let object = document.root.object else {
            throw problem("invalid_json_line", "this line must be a JSON object, not \(document.root.shown)")
        }
        guard let id = object["custom_id"]?.text, (1...Self.longestID).contains(id.utf8.count) else {
            throw problem("invalid_custom_id", "custom_id: must be a string of 1 to \(Self.longestID) bytes", "custom_id")
        }
        guard object["method"]?.text == "POST" else {
            throw problem("invalid_method", "method: must be \"POST\", not \(object["method"]?.shown ?? "missing")", "method")
        }
        guard let url = object["url"], url.text == endpoint.rawValue else {
            throw problem(
                "mismatched_endpoint", "url: must be the batch's endpoint \(endpoint.rawValue), not \(object["url"]?.shown ?? "missing")",
                "url")
        }
        guard object["body"]?.kind == .object else {
            throw problem("invalid_body", "body: must be a JSON object, not \(object["body"]?.shown ?? "missing")", "body")
        }
        customID = id
    }
}

struct LineProblem: Error {
    var problem: Batch.Problem
}
