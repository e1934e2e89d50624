import Generation
import JSONReader

/// What `tokenizer_config.json` adds to `tokenizer.json`: which tokens begin and end a text, and the chat template.
struct TokenizerConfiguration: Sendable {
    private(set) var bosToken: TokenID?
    private(set) var eosToken: TokenID?
    private(set) var chatTemplate: String?

    init(bosToken: TokenID? = nil, eosToken: TokenID? = nil, chatTemplate: String? = nil) {
        self.bosToken = bosToken
        self.eosToken = eosToken
        self.chatTemplate = chatTemplate
    }

    /// - Parameter id: the id of a token by its bytes.
    init(_ value: JSONValue, id: (ArraySlice<UInt8>) -> TokenID?) throws(TokenizerError) {
        bosToken = try Self.token("bos_token", in: value, id: id)
        eosToken = try Self.token("eos_token", in: value, id: id)
        chatTemplate = try Self.chatTemplate(in: value)
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

    /// One template, or of a list of named ones the `default`.
    private static func chatTemplate(in value: JSONValue) throws(TokenizerError) -> String? {
        guard let template = try value.optional("chat_template") else { return nil }
        guard template.kind == .array else { return try template.string() }
        for element in try template.elements() where try element.required("name").string() == "default" {
            return try element.required("template").string()
        }
        return nil
    }
}
