import Foundation
import Generation
import JSONReader

/// The tokenizer of a model, read from its `tokenizer.json` or from a GGUF file's vocabulary: text to tokens and back.
///
/// Gives the same ids and the same text as Hugging Face's `tokenizers` library for all that it loads, and loads
/// byte-level and byte-fallback BPE. Whatever it does not do, it refuses when loading, by key and value.
/// `truncation` and `padding` are not applied: a text is never shortened in silence.
public struct Tokenizer: Sendable {
    let decoder: Decoder
    let addedTokens: AddedTokens
    let preTokenizer: PreTokenizer?
    let model: BPE
    let postProcessor: PostProcessor?
    private let configuration: TokenizerConfiguration

    /// Reads `tokenizer.json`, and where they exist `tokenizer_config.json` and the chat templates, from a model's directory in Hugging
    /// Face's layout. Templates in files of their own (`chat_template.jinja`, `additional_chat_templates/`) go before those in
    /// `tokenizer_config.json`, and these before `chat_template.json`.
    public init(modelDirectory: URL) throws(TokenizerError) {
        guard let json = try Self.contents(of: "tokenizer.json", in: modelDirectory) else {
            throw .unreadableFile(file: "tokenizer.json", reason: "no such file in \(modelDirectory.path)")
        }
        try self.init(
            json: json, configuration: try Self.contents(of: "tokenizer_config.json", in: modelDirectory),
            chatTemplates: try Self.chatTemplateFiles(in: modelDirectory))
        if chatTemplates.isEmpty, let file = try Self.contents(of: "chat_template.json", in: modelDirectory) {
            chatTemplates = try TokenizerConfiguration.chatTemplates(in: JSONDocument.file("chat_template.json", Array(file)).root)
        }
    }

    /// - Parameters:
    ///   - json: the contents of `tokenizer.json`.
    ///   - configuration: the contents of `tokenizer_config.json`, which names the tokens that begin and end a text.
    ///   - chatTemplates: unless empty, go before those in `configuration`.
    public init(json: Data, configuration: Data? = nil, chatTemplates: [NamedChatTemplate] = []) throws(TokenizerError) {
        let root = try JSONDocument.file("tokenizer.json", Array(json)).root
        if let version = try root.optional("version"), try version.string() != "1.0" { throw version.unsupported() }
        let value = try root.required("model")
        let tokenCount = try value.required("vocab").count + (root.optional("added_tokens")?.count ?? 0)
        let idLimit = Vocabulary.idLimit(tokenCount: tokenCount)

        let model = try BPE(value, idLimit: idLimit)
        var normalizer: Normalizer?
        if let value = try root.optional("normalizer") {
            try value.checkStepCount()
            normalizer = try Normalizer(value)
            try normalizer?.growth.check(value)
        }
        let addedTokens = try AddedTokens(
            root.optional("added_tokens"), vocabulary: model.vocabulary, idLimit: idLimit, normalizer: normalizer)
        self.model = model
        self.addedTokens = addedTokens
        if let value = try root.optional("pre_tokenizer") {
            try value.checkStepCount()
            let preTokenizer = try PreTokenizer(value)
            try preTokenizer.growth.check(value)
            self.preTokenizer = preTokenizer
        } else {
            preTokenizer = nil
        }
        let decoderValue = try root.optional("decoder")
        try decoderValue?.checkStepCount()
        decoder = try Decoder(decoderValue)
        postProcessor =
            if let value = try root.optional("post_processor") {
                try PostProcessor(value) { model.vocabulary.token($0) != nil || addedTokens[$0] != nil }
            } else {
                nil
            }
        if let configuration {
            let document = try JSONDocument.file("tokenizer_config.json", Array(configuration))
            self.configuration = try TokenizerConfiguration(document.root) { token in
                addedTokens.id(of: Array(token)) ?? model.vocabulary.id(of: token)
            }
        } else {
            self.configuration = TokenizerConfiguration()
        }
        self.chatTemplates = chatTemplates.isEmpty ? self.configuration.chatTemplates : chatTemplates
    }

    init(
        model: BPE, addedTokens: AddedTokens, preTokenizer: PreTokenizer?, decoder: Decoder, postProcessor: PostProcessor?,
        configuration: TokenizerConfiguration
    ) {
        self.model = model
        self.addedTokens = addedTokens
        self.preTokenizer = preTokenizer
        self.decoder = decoder
        self.postProcessor = postProcessor
        self.configuration = configuration
        chatTemplates = configuration.chatTemplates
    }

    private static func chatTemplateFiles(in directory: URL) throws(TokenizerError) -> [NamedChatTemplate] {
        var templates: [NamedChatTemplate] = []
        if let file = try contents(of: "chat_template.jinja", in: directory) {
            templates.append(NamedChatTemplate(name: NamedChatTemplate.defaultName, source: String(decoding: file, as: UTF8.self)))
        }
        let more = directory.appendingPathComponent("additional_chat_templates")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: more.path)) ?? []
        for name in names.sorted() where name.hasSuffix(".jinja") {
            guard let file = try contents(of: name, in: more) else { continue }
            templates.append(NamedChatTemplate(name: String(name.dropLast(".jinja".count)), source: String(decoding: file, as: UTF8.self)))
        }
        return templates
    }

    private static func contents(of name: String, in directory: URL) throws(TokenizerError) -> Data? {
        let url = directory.appendingPathComponent(name)
        guard FileManager.default.fileExists(atPath: url.path) else { return nil }
        do {
            return try Data(contentsOf: url)
        } catch {
            throw .unreadableFile(file: name, reason: error.localizedDescription)
        }
    }

    // MARK: Vocabulary

    /// The number of tokens, added ones included. Ids may have holes: see ``idBound``.
    public var vocabularyCount: Int {
        model.vocabulary.count + addedTokens.count(beyond: model.vocabulary)
    }

    /// One more than the greatest id; a model must have at least this many logits.
    public var idBound: Int { max(model.vocabulary.idBound, addedTokens.idBound) }

    /// The token that begins a text, if `tokenizer_config.json` names one.
    public var bosToken: TokenID? { configuration.bosToken }

    /// The token that ends a text, if `tokenizer_config.json` names one.
    public var eosToken: TokenID? { configuration.eosToken }

    /// The model's chat templates, `default` among them if it has any worth the name.
    public private(set) var chatTemplates: [NamedChatTemplate]

    /// The source of the model's default chat template (Jinja), if it has one.
    public var chatTemplate: String? { chatTemplate(named: NamedChatTemplate.defaultName) }

    public func chatTemplate(named name: String) -> String? { chatTemplates.first { $0.name == name }?.source }

    /// The text of the token that has a role, for chat templates.
    public func specialToken(_ name: SpecialTokenName) -> String? {
        if let text = configuration.specialTokens[name] { return text }
        switch name {
        case .bos: return bosToken.flatMap(token)
        case .eos: return eosToken.flatMap(token)
        default: return nil
        }
    }

    /// The token as the vocabulary writes it: byte-level tokens in their own alphabet, not as text.
    public func token(_ id: TokenID) -> String? {
        if let added = addedTokens[id] { return String(decoding: added.content, as: UTF8.self) }
        return model.vocabulary.token(id).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The id of a token as the vocabulary writes it, byte for byte.
    public func id(of token: String) -> TokenID? {
        let bytes = Array(token.utf8)
        return addedTokens.id(of: bytes) ?? model.vocabulary.id(of: bytes)
    }

    /// Whether decoding leaves the token out when it skips special tokens.
    public func isSpecial(_ id: TokenID) -> Bool {
        addedTokens[id].map(addedTokens.isSkipped) ?? false
    }

    // MARK: Encoding and decoding

    /// The tokens of `text`; special tokens written in it count as such.
    ///
    /// - Parameter addSpecialTokens: whether to add what the model expects around a text, such as a first token.
    /// - Throws: ``TokenizerError/matchLimitExceeded(pattern:)`` if the file's pattern backtracks without end on it.
    public func encode(_ text: String, addSpecialTokens: Bool = true) throws(TokenizerError) -> [TokenID] {
        var tokens: [TokenID] = addSpecialTokens ? postProcessor?.prefix ?? [] : []
        for segment in try addedTokens.segments(of: Array(text.utf8)) {
            switch segment {
            case .token(let id): tokens.append(id)
            case .text(let piece):
                for piece in try preTokenizer?.split([piece]) ?? [piece] {
                    model.encode(piece.bytes, into: &tokens)
                }
            }
        }
        if addSpecialTokens { tokens += postProcessor?.suffix ?? [] }
        return tokens
    }

    /// The text of `tokens`; bytes that are no UTF-8 become U+FFFD, and ids that no token has are passed over.
    public func decode(_ tokens: [TokenID], skipSpecialTokens: Bool = true) -> String {
        var decoder = StreamingDecoder(tokenizer: self, skipSpecialTokens: skipSpecialTokens)
        var text = ""
        for token in tokens { text += decoder.append(token) }
        return text + decoder.finish()
    }

    /// The bytes that the decoder works on, or `nil` if the token does not exist or is to be skipped.
    func writtenForm(of id: TokenID, skippingSpecial: Bool) -> [UInt8]? {
        if let added = addedTokens[id] {
            return skippingSpecial && addedTokens.isSkipped(added) ? nil : added.written
        }
        return model.vocabulary.token(id).map { Array($0) }
    }
}
