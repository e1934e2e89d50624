import ChatTemplate
import JSONReader

/// The tools that a chat request offers, and whether they are to be used.
struct ToolUse: Sendable {
    enum Choice: Sendable, Hashable {
        case none
        case auto
        /// Some tool has to be called.
        case required
        case function(String)
    }

    static let names: Set<String> = ["tools", "tool_choice", "parallel_tool_calls"]
    private static let mostTools = 128

    var definitions: [ToolDefinition] = []
    /// The tools as the client sent them.
    var value: TemplateValue?
    var choice = Choice.none

    init(_ reader: ParameterReader) throws(APIError) {
        _ = try reader.boolean("parallel_tool_calls")
        try readTools(reader)
        choice = try choice(reader)
    }

    /// What the template is shown; nothing if no tool may be used.
    var shown: TemplateValue? { choice == .none ? nil : value }

    /// Those of which one has to be called; none if the model may do without.
    var required: [ToolDefinition] {
        switch choice {
        case .none, .auto: []
        case .required: definitions
        case .function(let name): definitions.filter { $0.name == name }
        }
    }

    private mutating func readTools(_ reader: ParameterReader) throws(APIError) {
        guard let value = reader["tools"] else { return }
        guard let array = value.array else { throw reader.wrong("tools", value, expected: "an array") }
        guard array.count <= Self.mostTools else { throw reader.invalid("tools", "has more than \(Self.mostTools) tools") }
        guard array.count > 0 else { return }
        for (index, tool) in array.enumerated() {
            let path = "tools[\(index)]"
            guard let object = tool.object, object["type"]?.text == "function", let function = object["function"]?.object else {
                throw .invalid(path, "must be {\"type\": \"function\", \"function\": {…}}")
            }
            guard let name = function["name"]?.text, !name.isEmpty else {
                throw .invalid(path + ".function.name", "is required", code: "missing_required_parameter")
            }
            let parameters = function["parameters"].flatMap { $0.isNull ? nil : $0 }
            if let parameters, parameters.kind != .object { throw .invalid(path + ".function.parameters", "must be a JSON schema") }
            definitions.append(ToolDefinition(name: name, parameters: parameters.map { TemplateValue($0) }))
        }
        self.value = TemplateValue(value)
    }

    private func choice(_ reader: ParameterReader) throws(APIError) -> Choice {
        guard let value = reader["tool_choice"] else { return definitions.isEmpty ? .none : .auto }
        let choice: Choice
        switch (value.text, value.object?["function"]?.object?["name"]?.text) {
        case ("none", _): return .none
        case ("auto", _): return definitions.isEmpty ? .none : .auto
        case ("required", _): choice = .required
        case (_, let name?):
            guard definitions.contains(where: { $0.name == name }) else {
                throw reader.invalid("tool_choice", "there is no tool \(JSONValue.quoted(name))")
            }
            choice = .function(name)
        default: throw reader.wrong("tool_choice", value, expected: "none, auto, required or a function")
        }
        guard !definitions.isEmpty else { throw reader.invalid("tool_choice", "only goes with tools") }
        return choice
    }
}
