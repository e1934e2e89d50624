import ClusterCore
import Generation
import JSONReader

/// The body of `POST /v1/chat/completions`.
struct ChatRequest: Sendable {
    private static let names = SharedParameters.names.union([
        "messages", "logprobs", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "chat_template_kwargs",
        "add_generation_prompt",
    ]).union(ResponseFormat.names)

    enum ToolChoice: Sendable, Hashable {
        case none
        case auto
        /// Some tool has to be called.
        case required
        case function(String)
    }

    var shared: SharedParameters
    var conversation: Conversation
    /// `nil`: as many as there is room for.
    var maxTokens: Int32?
    /// Alternatives to show for each token; `nil` for no log-probabilities at all.
    var logprobs: Int?
    var toolChoice: ToolChoice
    var constraint: Constraint?

    init(_ body: JSONObject) throws(APIError) {
        let reader = ParameterReader(body, names: Self.names)
        shared = try SharedParameters(reader)
        guard let messages = reader["messages"] else { throw reader.missing("messages") }
        let tools = try Self.tools(reader)
        toolChoice = try Self.toolChoice(reader, tools: tools.names)
        let arguments = try reader.object("chat_template_kwargs") == nil ? nil : reader["chat_template_kwargs"].map { JSONText($0) }
        conversation = Conversation(
            messages: try Conversation.messages(messages), tools: toolChoice == .none ? nil : tools.json,
            addsGenerationPrompt: try reader.boolean("add_generation_prompt") ?? true, arguments: arguments)
        maxTokens = try Self.maxTokens(reader)
        logprobs = try Self.logprobs(reader)
        constraint = try ResponseFormat.constraint(reader)
        _ = try reader.boolean("parallel_tool_calls")
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

    private static func tools(_ reader: ParameterReader) throws(APIError) -> (json: JSONText?, names: [String]) {
        guard let value = reader["tools"] else { return (nil, []) }
        guard let array = value.array else { throw reader.wrong("tools", value, expected: "an array") }
        guard array.count <= 128 else { throw reader.invalid("tools", "has more than 128 tools") }
        guard array.count > 0 else { return (nil, []) }
        var names: [String] = []
        for (index, tool) in array.enumerated() {
            let path = "tools[\(index)]"
            guard let object = tool.object, object["type"]?.text == "function", let function = object["function"]?.object else {
                throw .invalid(path, "must be {\"type\": \"function\", \"function\": {…}}")
            }
            guard let name = function["name"]?.text, !name.isEmpty else {
                throw .invalid(path + ".function.name", "is required", code: "missing_required_parameter")
            }
            if let parameters = function["parameters"], parameters.kind != .object, !parameters.isNull {
                throw .invalid(path + ".function.parameters", "must be a JSON schema")
            }
            names.append(name)
        }
        return (JSONText(value), names)
    }

    private static func toolChoice(_ reader: ParameterReader, tools: [String]) throws(APIError) -> ToolChoice {
        guard let value = reader["tool_choice"] else { return tools.isEmpty ? .none : .auto }
        let choice: ToolChoice
        switch (value.text, value.object?["function"]?.object?["name"]?.text) {
        case ("none", _): return .none
        case ("auto", _): return tools.isEmpty ? .none : .auto
        case ("required", _): choice = .required
        case (_, let name?):
            guard tools.contains(name) else { throw reader.invalid("tool_choice", "there is no tool \(JSONValue.quoted(name))") }
            choice = .function(name)
        default: throw reader.wrong("tool_choice", value, expected: "none, auto, required or a function")
        }
        guard !tools.isEmpty else { throw reader.invalid("tool_choice", "only goes with tools") }
        return choice
    }
}
