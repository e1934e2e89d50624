/// How a family of models writes the calls of tools into its answers.
public enum ToolCallFormat: String, Sendable, Hashable, CaseIterable {
    /// Llama 3: the answer is `{"name": …, "parameters": {…}}`, perhaps behind `<|python_tag|>`, several with `;` between them.
    case llama3
    /// Hermes, Qwen and SmolLM3: `<tool_call>`, a newline, `{"name": …, "arguments": {…}}`, a newline, `</tool_call>`.
    case hermes
    /// Mistral: `[TOOL_CALLS]` and an array of `{"name": …, "arguments": {…}}`.
    case mistral
    /// Mistral since its eleventh tokenizer: `[TOOL_CALLS]`, the name, `[ARGS]` and the arguments, for each call.
    case mistralNamed

    /// The format that a chat template writes past calls in; `nil` if it is none of these.
    public init?(template: String) {
        if template.contains("<tool_call>") {
            // Qwen3-Coder writes XML between the same tags.
            guard !template.contains("<function=") else { return nil }
            self = .hermes
        } else if template.contains("[TOOL_CALLS]") {
            self = template.contains("[ARGS]") ? .mistralNamed : .mistral
        } else if template.contains("<|python_tag|>") || template.contains(#""parameters": dictionary of argument"#) {
            self = .llama3
        } else {
            return nil
        }
    }

    /// What begins a call, wherever in the answer it stands. A call of ``llama3`` can do without.
    public var marker: String {
        switch self {
        case .llama3: "<|python_tag|>"
        case .hermes: "<tool_call>"
        case .mistral, .mistralNamed: "[TOOL_CALLS]"
        }
    }

    /// Texts around the parts of a call, ``marker`` among them. Their tokens have to be kept when an answer is decoded, even where the
    /// tokenizer counts them as special.
    public var markers: [String] {
        switch self {
        case .llama3: [marker]
        case .hermes: [marker, "</tool_call>"]
        case .mistral, .mistralNamed: [marker, "[CALL_ID]", "[ARGS]"]
        }
    }

    /// The member of a call that holds its arguments.
    var argumentsKey: String { self == .llama3 ? "parameters" : "arguments" }

    /// An id for call number `index` of an answer; the same `seed` gives the same ids. Mistral's templates accept nine letters and
    /// digits and nothing else.
    public func callID(seed: UInt64, index: Int) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
        var state = seed &+ UInt64(truncatingIfNeeded: index) &* 0xD1B5_4A32_D192_ED03
        let isShort = self == .mistral || self == .mistralNamed
        var id = isShort ? "" : "call_"
        for _ in 0..<(isShort ? 9 : 24) {
            // SplitMix64 (Steele, Lea and Flood, 2014).
            state &+= 0x9E37_79B9_7F4A_7C15
            var value = state
            value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
            id.append(alphabet[Int((value ^ value >> 31) % UInt64(alphabet.count))])
        }
        return id
    }
}

/// A function that a request offers to the model.
public struct ToolDefinition: Sendable, Hashable {
    public var name: String
    /// The JSON schema of its arguments.
    public var parameters: TemplateValue

    /// - Parameter parameters: without it, any object is taken.
    public init(name: String, parameters: TemplateValue? = nil) {
        self.name = name
        self.parameters = parameters ?? .object([.init("type", .string("object"))])
    }
}

/// What an answer that has to be a call looks like: `prefix`, then JSON that `schema` describes, then `suffix`, then the end.
public struct ToolCallShape: Sendable, Hashable {
    public var prefix: String
    /// A JSON schema; `$ref`s in the tools' own schemas lead to where these lie in it.
    public var schema: TemplateValue
    public var suffix: String
}

extension ToolCallFormat {
    /// The shapes of one call of one of `tools`, to choose from: one shape for all of them where the name is part of the JSON, else one
    /// for each.
    public func shapes(of tools: [ToolDefinition]) -> [ToolCallShape] {
        switch self {
        case .mistralNamed:
            return tools.map { ToolCallShape(prefix: "\(marker)\($0.name)[ARGS]", schema: $0.parameters, suffix: "") }
        case .mistral:
            let items = call(of: tools, at: "#/items")
            let schema = TemplateValue.object([
                .init("type", .string("array")), .init("items", items), .init("minItems", .integer(1)), .init("maxItems", .integer(1)),
            ])
            return tools.isEmpty ? [] : [ToolCallShape(prefix: marker, schema: schema, suffix: "")]
        case .hermes:
            return tools.isEmpty ? []
                : [ToolCallShape(prefix: "<tool_call>\n", schema: call(of: tools, at: "#"), suffix: "\n</tool_call>")]
        case .llama3:
            return tools.isEmpty ? [] : [ToolCallShape(prefix: "", schema: call(of: tools, at: "#"), suffix: "")]
        }
    }

    /// - Parameter pointer: where the schema will lie.
    private func call(of tools: [ToolDefinition], at pointer: String) -> TemplateValue {
        guard tools.count > 1 else { return tools.first.map { call(of: $0, at: pointer) } ?? .boolean(false) }
        return .object([.init("anyOf", .array(tools.enumerated().map { call(of: $1, at: "\(pointer)/anyOf/\($0)") }))])
    }

    private func call(of tool: ToolDefinition, at pointer: String) -> TemplateValue {
        let arguments = tool.parameters.movingReferences(to: "\(pointer)/properties/\(argumentsKey)")
        return .object([
            .init("type", .string("object")),
            .init("properties", .object([
                .init("name", .object([.init("const", .string(tool.name))])), .init(argumentsKey, arguments),
            ])),
            .init("required", .array([.string("name"), .string(argumentsKey)])), .init("additionalProperties", .boolean(false)),
        ])
    }
}

extension TemplateValue {
    /// A schema that lay at the root and now lies at `pointer`.
    fileprivate func movingReferences(to pointer: String) -> TemplateValue {
        switch self {
        case .array(let elements): .array(elements.map { $0.movingReferences(to: pointer) })
        case .object(let members):
            .object(members.map { member in
                if member.key == "$ref", case .string(let target) = member.value, target.hasPrefix("#") {
                    return Member(member.key, .string(pointer + target.dropFirst()))
                }
                return Member(member.key, member.value.movingReferences(to: pointer))
            })
        default: self
        }
    }
}
