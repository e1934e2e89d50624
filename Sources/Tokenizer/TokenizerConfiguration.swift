import Generation
import JSONReader

/// What `tokenizer_config.json` adds to `tokenizer.json`: which tokens begin and end a text, and the chat template.
struct TokenizerConfiguration: Sendable {
    private(set) var bosToken: TokenID?
    private(set) var eosToken: TokenID?
    private(set) var chatTemplates: [NamedChatTemplate] = []
    /// The texts of the tokens that have a role, by the name of the role.
    private(set) var specialTokens: [SpecialTokenName: String] = [:]

    init(bosToken: TokenID? = nil, eosToken: TokenID? = nil, chatTemplates: [NamedChatTemplate] = []) {
        self.bosToken = bosToken
        self.eosToken = eosToken
        self.chatTemplates = chatTemplates
    }

    /// - Parameter id: the id of a token by its bytes.
    init(_ value: JSONValue, id: (ArraySlice<UInt8>) -> TokenID?) throws(TokenizerError) {
        bosToken = try Self.token("bos_token", in: value, id: id)
        eosToken = try Self.token("eos_token", in: value, id: id)
        chatTemplates = try Self.chatTemplates(in: value)
        for name in SpecialTokenName.allCases {
            guard let token = try value.optional(name.rawValue) else { continue }
            specialTokens[name] = try (token.kind == .object ? token.required("content") : token).string()
        }
    }

    /// A token by its text, or by an object whose `content` is the text.
    private static func token(
        _ key: String, in value: JSONValue, id: (ArraySlice<UInt8>) -> TokenID?
    ) throws(TokenizerError) -> TokenID? {
        guard let token = try value.optional(key) else { return nil }
        let content = token.kind == .object ? try token.required("content") : token
        guard let id = id(try content.bytes()) else { throw content.invalid(.unknownToken) }
        return id
    }

    /// One template, which is the default, or a list of named ones.
    static func chatTemplates(in value: JSONValue) throws(TokenizerError) -> [NamedChatTemplate] {
        guard let template = try value.optional("chat_template") else { return [] }
        guard template.kind == .array else { return [NamedChatTemplate(name: NamedChatTemplate.defaultName, source: try template.string())] }
        var templates: [NamedChatTemplate] = []
        for element in try template.elements() {
            templates.append(NamedChatTemplate(
                name: try element.required("name").string(), source: try element.required("template").string()))
        }
        return templates
    }
}

/// A chat template (Jinja) as a model brings it. Most models have one, called `default`; some have another for requests with tools.
public struct NamedChatTemplate: Sendable, Hashable {
    public static let defaultName = "default"
    public static let toolUseName = "tool_use"

    public var name: String
    public var source: String

    public init(name: String, source: String) {
        self.name = name
        self.source = source
    }
}

/// The roles of tokens that chat templates know, by the names of their variables.
public enum SpecialTokenName: String, Sendable, CaseIterable {
    case bos = "bos_token", eos = "eos_token", unknown = "unk_token", separator = "sep_token", padding = "pad_token"
    case classification = "cls_token", mask = "mask_token"
}
