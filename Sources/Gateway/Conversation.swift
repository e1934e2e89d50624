import ChatTemplate
import JSONReader

/// What a chat template is given.
struct Conversation: Sendable {
    /// Objects with `role` and `content`, and what else the role has; contents are texts.
    var messages: TemplateValue
    /// An array of tools as OpenAI defines them; `nil` without any.
    var tools: TemplateValue?
    /// The prompt ends with the beginning of an answer.
    var addsGenerationPrompt: Bool
    /// The prompt ends with the last message's content, as if the model had not come to its end.
    var continuesFinalMessage = false
    /// Further variables.
    var arguments: [TemplateValue.Member]
}

extension Conversation {
    /// - Returns: whether the last message has a content that is a text.
    mutating func appendToFinalContent(_ more: String) -> Bool {
        guard case .array(var all) = messages, let last = all.indices.last, case .object(var members) = all[last],
            let index = members.firstIndex(where: { $0.key == "content" }), case .string(let content) = members[index].value
        else { return false }
        members[index].value = .string(content + more)
        all[last] = .object(members)
        messages = .array(all)
        return true
    }

    private static let roles: Set<String> = ["system", "developer", "user", "assistant", "tool", "function"]

    /// - Throws: ``APIError`` that names the message, such as `messages[3].role`.
    static func messages(_ value: JSONValue) throws(APIError) -> TemplateValue {
        guard let array = value.array else {
            throw APIError(400, "messages: expected an array, not \(value.shown)", parameter: "messages", code: "invalid_type")
        }
        guard array.count > 0 else { throw .invalid("messages", "is empty", code: "empty_array") }
        var messages: [TemplateValue] = []
        for (index, element) in array.enumerated() { messages.append(try message(element, at: "messages[\(index)]")) }
        return .array(messages)
    }

    private static func message(_ value: JSONValue, at path: String) throws(APIError) -> TemplateValue {
        guard let object = value.object else {
            throw APIError(400, "\(path): expected an object, not \(value.shown)", parameter: path, code: "invalid_type")
        }
        let reader = ParameterReader(
            object, names: ["role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content"], prefix: path + ".")
        guard let role = try reader.text("role") else { throw reader.missing("role") }
        guard roles.contains(role) else {
            throw reader.invalid("role", "must be one of \(roles.sorted().joined(separator: ", ")), but is \(JSONValue.quoted(role))")
        }
        let calls = try toolCalls(reader, at: path)
        let content = try content(reader, at: path)
        guard content != nil || calls != nil else { throw reader.missing("content") }
        // Templates know nobody but the system who could give such orders.
        var message: [TemplateValue.Member] = [
            .init("role", .string(role == "developer" ? "system" : role)), .init("content", .string(content ?? "")),
        ]
        for name in ["name", "tool_call_id", "reasoning_content"] {
            if let text = try reader.text(name) { message.append(.init(name, .string(text))) }
        }
        if let calls { message.append(.init("tool_calls", calls)) }
        return .object(message)
    }

    /// A text, or parts of which only texts are understood.
    private static func content(_ reader: ParameterReader, at path: String) throws(APIError) -> String? {
        guard let value = reader["content"] else { return nil }
        if let text = value.text { return text }
        guard let parts = value.array else { throw reader.wrong("content", value, expected: "a string or an array of parts") }
        var texts: [String] = []
        for (index, part) in parts.enumerated() {
            let name = "\(path).content[\(index)]"
            guard let object = part.object else {
                throw APIError(400, "\(name): expected an object, not \(part.shown)", parameter: name, code: "invalid_type")
            }
            let inner = ParameterReader(object, names: ["type", "text", "refusal"], prefix: name + ".")
            switch try inner.text("type") {
            case "text", "input_text", "output_text":
                guard let text = try inner.text("text") else { throw inner.missing("text") }
                texts.append(text)
            case "refusal": texts.append(try inner.text("refusal") ?? "")
            case nil: throw inner.missing("type")
            case let type?: throw inner.invalid("type", "\(JSONValue.quoted(type)) is not supported; this model reads text")
            }
        }
        return texts.joined(separator: "\n")
    }

    private static func toolCalls(_ reader: ParameterReader, at path: String) throws(APIError) -> TemplateValue? {
        guard let value = reader["tool_calls"] else { return nil }
        guard let array = value.array else { throw reader.wrong("tool_calls", value, expected: "an array") }
        guard array.count > 0 else { return nil }
        var calls: [TemplateValue] = []
        for (index, element) in array.enumerated() {
            let name = "\(path).tool_calls[\(index)]"
            guard let object = element.object, let function = object["function"]?.object else {
                throw .invalid(name, "needs a function", code: "missing_required_parameter")
            }
            let inner = ParameterReader(function, names: ["name", "arguments"], prefix: name + ".function.")
            guard let functionName = try inner.text("name") else { throw inner.missing("name") }
            let arguments = inner["arguments"]
            let written: [TemplateValue.Member] = [
                .init("name", .string(functionName)), .init("arguments", arguments.map { Self.arguments($0) } ?? .object([])),
            ]
            var call: [TemplateValue.Member] = [.init("type", .string("function")), .init("function", .object(written))]
            if let id = object["id"]?.text { call.insert(.init("id", .string(id)), at: 0) }
            calls.append(.object(call))
        }
        return .array(calls)
    }

    /// Clients send them as text, templates expect what the text says.
    private static func arguments(_ value: JSONValue) -> TemplateValue {
        guard let text = value.text else { return TemplateValue(value) }
        guard let document = try? JSONDocument(file: "arguments", source: Array(text.utf8)), document.root.kind == .object else {
            return .string(text)
        }
        return TemplateValue(document.root)
    }
}
