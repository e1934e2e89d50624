import ClusterCore
import Generation
import JSONReader

/// The body of `POST /v1/completions`.
struct CompletionRequest: Sendable {
    private static let names = SharedParameters.names.union([
        "prompt", "echo", "logprobs", "suffix", "best_of", "add_special_tokens",
    ]).union(ResponseFormat.names)
    /// As OpenAI has it.
    static let usualMaxTokens: Int32 = 16
    static let mostLogprobs = 20

    var shared: SharedParameters
    var prompts: [Prompt]
    /// `nil`: ``usualMaxTokens``, or as many as there is room for.
    var maxTokens: Int32?
    /// The answer begins with the prompt.
    var echoes: Bool
    /// Alternatives to show for each token; `nil` for no log-probabilities at all.
    var logprobs: Int?
    var addsSpecialTokens: Bool
    var constraint: Constraint?

    init(_ body: JSONObject) throws(APIError) {
        let reader = ParameterReader(body, names: Self.names)
        shared = try SharedParameters(reader)
        prompts = try Self.prompts(reader)
        maxTokens = try reader.integer("max_tokens", in: 0...Int(Int32.max)).map { Int32($0) }
        echoes = try reader.boolean("echo") ?? false
        logprobs = try reader.integer("logprobs", in: 0...Self.mostLogprobs)
        addsSpecialTokens = try reader.boolean("add_special_tokens") ?? true
        constraint = try ResponseFormat.constraint(reader)
        guard prompts.count * shared.choices <= SharedParameters.mostChoices else {
            throw reader.invalid(
                "prompt", "\(prompts.count) prompts with n = \(shared.choices) make more than \(SharedParameters.mostChoices) choices")
        }
        if maxTokens == 0, !echoes { throw reader.invalid("max_tokens", "must be at least 1 unless echo is true") }
        if maxTokens == 0, shared.choices > 1 { throw reader.invalid("n", "choices are all alike with max_tokens 0") }
        if maxTokens == 0, shared.streams { throw reader.invalid("stream", "there is nothing to stream with max_tokens 0") }
        if let suffix = try reader.text("suffix"), !suffix.isEmpty {
            throw reader.invalid("suffix", "is not supported")
        }
        if let best = try reader.integer("best_of", in: 1...Int.max), best != shared.choices {
            throw reader.invalid("best_of", "is only supported if it equals n")
        }
    }

    /// A string, an array of strings, an array of token ids, or an array of such arrays.
    private static func prompts(_ reader: ParameterReader) throws(APIError) -> [Prompt] {
        guard let value = reader["prompt"] else { throw reader.missing("prompt") }
        if let text = value.text { return [.text(text)] }
        let expected = "a string, an array of strings, an array of token ids, or an array of such arrays"
        guard let array = value.array else { throw reader.wrong("prompt", value, expected: expected) }
        guard let first = Array(array.prefix(1)).first else { throw reader.invalid("prompt", "is empty") }
        if first.kind == .number { return [.tokens(try tokens(value, reader))] }
        guard array.count <= SharedParameters.mostChoices else {
            throw reader.invalid("prompt", "has more than \(SharedParameters.mostChoices) prompts")
        }
        return try array.map { (element) throws(APIError) in
            if let text = element.text { return .text(text) }
            guard element.kind == .array else { throw reader.wrong("prompt", element, expected: expected) }
            return .tokens(try tokens(element, reader))
        }
    }

    private static func tokens(_ value: JSONValue, _ reader: ParameterReader) throws(APIError) -> [TokenID] {
        guard let array = value.array else { throw reader.wrong("prompt", value, expected: "an array of token ids") }
        guard array.count > 0 else { throw reader.invalid("prompt", "has no tokens") }
        return try array.map { (element) throws(APIError) in
            guard let id = ParameterReader.tokenID(element) else {
                throw reader.wrong("prompt", element, expected: "a token id")
            }
            return id
        }
    }
}
