import ChatTemplate
import ClusterCore
import Generation
import JSONReader

/// The body of `POST /v1/chat/completions`.
struct ChatRequest: Sendable {
    private static let names = SharedParameters.names.union([
        "messages", "logprobs", "top_logprobs", "chat_template_kwargs", "add_generation_prompt",
        "continue_final_message",
    ]).union(ToolUse.names).union(ResponseFormat.names)

    var shared: SharedParameters
    var conversation: Conversation
    /// `nil`: as many as there is room for.
    var maxTokens: Int32?
    /// Alternatives to show for each token; `nil` for no log-probabilities at all.
    var logprobs: Int?
    var tools: ToolUse
    var constraint: Constraint?

    init(_ body: JSONObject) throws(APIError) {
        let reader = ParameterReader(body, names: Self.names)
        shared = try SharedParameters(reader)
        guard let messages = reader["messages"] else { throw reader.missing("messages") }
        tools = try ToolUse(reader)
        let arguments = try reader.object("chat_template_kwargs").map { $0.map { ($0.key.text ?? "", TemplateValue($0.value)) } } ?? []
        let continues = try reader.boolean("continue_final_message") ?? false, adds = try reader.boolean("add_generation_prompt")
        if continues, adds == true { throw reader.invalid("continue_final_message", "does not go with add_generation_prompt") }
        conversation = Conversation(
            messages: try Conversation.messages(messages), tools: tools.shown, addsGenerationPrompt: adds ?? !continues,
            continuesFinalMessage: continues, arguments: arguments.map { .init($0, $1) })
        maxTokens = try Self.maxTokens(reader)
        logprobs = try Self.logprobs(reader)
        constraint = try ResponseFormat.constraint(reader)
        if continues, !tools.required.isEmpty {
            throw reader.invalid("continue_final_message", "a message that is continued cannot be made a call")
        }
        if constraint != nil, !tools.required.isEmpty {
            throw reader.invalid("tool_choice", "a call that is required does not go with another form of the answer")
        }
    }

    /// The newer name goes before the older one.
    private static func maxTokens(_ reader: ParameterReader) throws(APIError) -> Int32? {
        let older = try reader.integer("max_tokens", in: 1...Int(Int32.max))
        let newer = try reader.integer("max_completion_tokens", in: 1...Int(Int32.max))
        return (newer ?? older).map { Int32($0) }
    }

    private static func logprobs(_ reader: ParameterReader) throws(APIError) -> Int? {
        let isWanted = try reader.boolean("logprobs") ?? false
        let count = try reader.integer("top_logprobs", in: 0...TokenLogprobs.maxTop)
        guard isWanted else {
            if let count, count > 0 { throw reader.invalid("top_logprobs", "only goes with logprobs") }
            return nil
        }
        return count ?? 0
    }
}
