import Generation
import JSONReader

/// The body of `POST /tokenize`: a prompt, or messages to be rendered first.
struct TokenizeRequest: Sendable {
    enum Source: Sendable {
        case text(String)
        case chat(ChatRequest)
    }

    var model: String?
    var source: Source
    var addsSpecialTokens: Bool
    /// The answer also has the tokens as the vocabulary writes them.
    var returnsTexts: Bool

    init(_ body: JSONObject) throws(APIError) {
        let reader = ParameterReader(
            body, names: ["model", "prompt", "messages", "add_special_tokens", "return_token_strs"])
        model = try reader.text("model")
        returnsTexts = try reader.boolean("return_token_strs") ?? false
        if let text = try reader.text("prompt") {
            source = .text(text)
            addsSpecialTokens = try reader.boolean("add_special_tokens") ?? true
        } else if reader["messages"] != nil {
            source = .chat(try ChatRequest(body))
            // Templates write them.
            addsSpecialTokens = try reader.boolean("add_special_tokens") ?? false
        } else {
            throw reader.missing("prompt")
        }
    }
}

/// The body of `POST /detokenize`.
struct DetokenizeRequest: Sendable {
    var model: String?
    var tokens: [TokenID]

    init(_ body: JSONObject) throws(APIError) {
        let reader = ParameterReader(body, names: ["model", "tokens"])
        model = try reader.text("model")
        guard let value = reader["tokens"] else { throw reader.missing("tokens") }
        guard let array = value.array else { throw reader.wrong("tokens", value, expected: "an array of token ids") }
        tokens = try array.map { (element) throws(APIError) in
            guard let id = ParameterReader.tokenID(element) else {
                throw reader.wrong("tokens", element, expected: "a token id")
            }
            return id
        }
    }
}
