import Generation

extension Tokenizer {
    /// The tokenizer that a GGUF file's vocabulary stands for.
    /// - Throws: ``TokenizerError`` with the file's own key.
    public init(_ vocabulary: GGUFVocabulary) throws(TokenizerError) {
        let reader = GGUFVocabularyReader(vocabulary)
        switch vocabulary.model {
        case "gpt2": self = try reader.byteLevel()
        case "llama": self = try reader.sentencePiece()
        default: throw .unsupported(file: vocabulary.file, key: "tokenizer.ggml.model", value: vocabulary.model.debugDescription)
        }
    }
}

/// Checks a GGUF vocabulary and puts the parts of a tokenizer together.
private struct GGUFVocabularyReader {
    let source: GGUFVocabulary
    /// SentencePiece's sign for a space.
    private static let space: [UInt8] = Array("\u{2581}".utf8)
    /// Every place of a token where it might have been merged is looked up: longer ones would make a file slow to load.
    private static let greatestMergedToken = 256

    init(_ source: GGUFVocabulary) {
        self.source = source
    }

    private func key(_ name: String) -> String { "tokenizer.ggml.\(name)" }

    private func invalid(_ name: String, _ value: String, _ defect: TokenizerError.Defect) -> TokenizerError {
        .invalid(file: source.file, key: key(name), value: value, defect: defect)
    }

    private func missing(_ name: String) -> TokenizerError { .missingKey(file: source.file, key: key(name)) }

    /// GPT-2's kind: bytes spelled in an alphabet of their own.
    func byteLevel() throws(TokenizerError) -> Tokenizer {
        guard let name = source.pre else { throw missing("pre") }
        guard let pre = GGUFPreTokenizer(named: name) else {
            throw .unsupported(file: source.file, key: key("pre"), value: name.debugDescription)
        }
        guard let merges = source.merges else { throw missing("merges") }
        let types = try types(), vocabulary = try vocabulary(types)
        let model = try BPE(
            vocabulary: vocabulary, merges: merges, ignoresMerges: pre.ignoresMerges, file: source.file, key: key("merges"))
        return Tokenizer(
            model: model, addedTokens: try addedTokens(types, normalizer: pre.normalizer), preTokenizer: pre.preTokenizer,
            decoder: Decoder(join: .byteLevel), postProcessor: try postProcessor(addsBOS: pre.addsBOS),
            configuration: try configuration())
    }

    /// Llama 2's kind: characters with `▁` for a space, merged by score, and bytes for what is no token.
    func sentencePiece() throws(TokenizerError) -> Tokenizer {
        let types = try types(), vocabulary = try vocabulary(types), ranks = try ranks(types)
        let addsSpace = source.addsSpacePrefix ?? true
        let spaces = Normalizer.replace(.literal([0x20]), with: Self.space)
        return Tokenizer(
            model: BPE(vocabulary: vocabulary, ranks: ranks, unknownToken: try id("unknown_token_id", source.unknownToken)),
            addedTokens: try addedTokens(types, normalizer: addsSpace ? .sequence([.prepend(Self.space), spaces]) : spaces),
            preTokenizer: nil,
            decoder: Decoder(
                tokenSteps: [.replace(Self.space, with: [0x20]), .byteFallback], join: .concatenation,
                textSteps: addsSpace ? [.strip(.init(content: [0x20], start: 1, stop: 0))] : []),
            postProcessor: try postProcessor(addsBOS: true), configuration: try configuration())
    }

    /// Unused ids stand for nothing, whatever is written in their place.
    private func vocabulary(_ types: [GGUFVocabulary.TokenType]) throws(TokenizerError) -> Vocabulary {
        for (id, token) in source.tokens.enumerated() where types[id] != .unused {
            if token.isEmpty { throw invalid("tokens[\(id)]", "\"\"", .emptyToken) }
            guard (try? UTF8Span(validating: token.span)) != nil else {
                throw invalid("tokens[\(id)]", Vocabulary.shown(token), .invalidText)
            }
        }
        return try Vocabulary(tokens: source.tokens, unused: { types[$0] == .unused }, file: source.file, key: key("tokens"))
    }

    private func types() throws(TokenizerError) -> [GGUFVocabulary.TokenType] {
        guard let types = source.types else { return Array(repeating: .normal, count: source.tokens.count) }
        guard types.count == source.tokens.count else { throw invalid("token_type", "\(types.count) types", .mismatchedCounts) }
        var known: [GGUFVocabulary.TokenType] = []
        known.reserveCapacity(types.count)
        for (id, type) in types.enumerated() {
            guard let type = Int32(exactly: type).flatMap(GGUFVocabulary.TokenType.init) else {
                throw .unsupported(file: source.file, key: key("token_type[\(id)]"), value: "\(type)")
            }
            known.append(type)
        }
        return known
    }

    /// Ranks of the tokens that text merges into, by id: the highest score is 0.
    private func ranks(_ types: [GGUFVocabulary.TokenType]) throws(TokenizerError) -> [UInt32?] {
        guard let scores = source.scores else { throw missing("scores") }
        guard scores.count == types.count else { throw invalid("scores", "\(scores.count) scores", .mismatchedCounts) }
        var merged: [Float] = []
        for (id, score) in scores.enumerated() where types[id] == .normal {
            guard score.isFinite else { throw invalid("scores[\(id)]", "\(score)", .numberOutOfRange) }
            guard source.tokens[id].count <= Self.greatestMergedToken else {
                throw invalid("tokens[\(id)]", Vocabulary.shown(source.tokens[id]), .tokenTooLong)
            }
            merged.append(score)
        }
        var places: [Float: UInt32] = [:]
        for score in merged.sorted(by: >) where places[score] == nil { places[score] = UInt32(places.count) }
        return types.indices.map { types[$0] == .normal ? places[scores[$0]] : nil }
    }

    /// Tokens that are found in the text itself. Those of type control are left out when an answer is shown.
    private func addedTokens(
        _ types: [GGUFVocabulary.TokenType], normalizer: Normalizer?
    ) throws(TokenizerError) -> AddedTokens {
        let added = types.indices.filter { [.control, .userDefined, .unknown].contains(types[$0]) }
        return AddedTokens(
            added.map { AddedToken(id: TokenID($0), content: source.tokens[$0], isSpecial: types[$0] != .userDefined) },
            normalizer: normalizer)
    }

    private func id(_ name: String, _ id: Int?) throws(TokenizerError) -> TokenID? {
        guard let id else { return nil }
        guard source.tokens.indices.contains(id) else { throw invalid(name, "\(id)", .unknownTokenID) }
        return TokenID(id)
    }

    private func postProcessor(addsBOS: Bool) throws(TokenizerError) -> PostProcessor {
        var prefix: [TokenID] = [], suffix: [TokenID] = []
        if source.addsBOS ?? addsBOS {
            guard let token = try id("bos_token_id", source.bosToken) else { throw missing("bos_token_id") }
            prefix = [token]
        }
        if source.addsEOS ?? false {
            guard let token = try id("eos_token_id", source.eosToken) else { throw missing("eos_token_id") }
            suffix = [token]
        }
        return PostProcessor(prefix: prefix, suffix: suffix)
    }

    private func configuration() throws(TokenizerError) -> TokenizerConfiguration {
        TokenizerConfiguration(
            bosToken: try id("bos_token_id", source.bosToken), eosToken: try id("eos_token_id", source.eosToken),
            chatTemplates: [
                source.chatTemplate.map { NamedChatTemplate(name: NamedChatTemplate.defaultName, source: $0) },
                source.toolUseTemplate.map { NamedChatTemplate(name: NamedChatTemplate.toolUseName, source: $0) },
            ].compactMap { $0 })
    }
}
