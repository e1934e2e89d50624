import Generation

extension GGUFVocabulary {
    /// The vocabulary of a byte-level tokenizer, for a GGUF file.
    ///
    /// - Parameters:
    ///   - file: what errors name.
    ///   - size: rows of the model's embedding; ids without a token become unused ones.
    /// - Throws: ``TokenizerError/unsupported(file:key:value:)`` if the format has no name for what the tokenizer does.
    public init(_ tokenizer: Tokenizer, file: String, size: Int) throws(TokenizerError) {
        func unsupported(_ key: String, _ value: String) -> TokenizerError { .unsupported(file: file, key: key, value: value) }
        guard tokenizer.idBound <= size else {
            throw unsupported("model.vocab", "\(tokenizer.idBound) ids for \(size) rows of the embedding")
        }
        guard let pre = GGUFPreTokenizer(matching: tokenizer) else { throw unsupported("pre_tokenizer", "a split without a name in GGUF") }
        self.init(file: file, model: "gpt2", tokens: [])
        self.pre = pre.rawValue
        var types: [Int] = []
        for id in 0..<TokenID(size) {
            if let added = tokenizer.addedTokens[id] {
                // What is special about such a token would be lost.
                let isSoughtAsWritten = !added.isNormalized || tokenizer.addedTokens.normalizer == nil
                guard !added.isSingleWord, !added.stripsLeft, !added.stripsRight, isSoughtAsWritten else {
                    throw unsupported("added_tokens", Vocabulary.shown(added.content))
                }
                tokens.append(added.content)
                types.append(Int((added.isSpecial ? TokenType.control : .userDefined).rawValue))
            } else if let token = tokenizer.model.vocabulary.token(id) {
                tokens.append(Array(token))
                types.append(Int(TokenType.normal.rawValue))
            } else {
                tokens.append(Array("[PAD\(id)]".utf8))
                types.append(Int(TokenType.unused.rawValue))
            }
        }
        self.types = types
        merges = tokenizer.model.mergePairs.map { Array($0.left) + [0x20] + Array($0.right) }
        bosToken = tokenizer.bosToken.map(Int.init)
        eosToken = tokenizer.eosToken.map(Int.init)
        chatTemplate = tokenizer.chatTemplate
        toolUseTemplate = tokenizer.chatTemplate(named: NamedChatTemplate.toolUseName)
        let prefix = tokenizer.postProcessor?.prefix ?? [], suffix = tokenizer.postProcessor?.suffix ?? []
        guard prefix.count <= 1, suffix.count <= 1 else { throw unsupported("post_processor", "\(prefix) and \(suffix)") }
        if let first = prefix.first {
            guard bosToken == nil || bosToken == Int(first) else { throw unsupported("post_processor", "\(prefix)") }
            bosToken = Int(first)
        }
        if let last = suffix.first {
            guard eosToken == nil || eosToken == Int(last) else { throw unsupported("post_processor", "\(suffix)") }
            eosToken = Int(last)
        }
        (addsBOS, addsEOS) = (!prefix.isEmpty, !suffix.isEmpty)
    }
}

extension GGUFPreTokenizer {
    /// The name of what a tokenizer does before and in its merges, if there is one.
    fileprivate init?(matching tokenizer: Tokenizer) {
        guard case .byteLevel = tokenizer.decoder.join, !tokenizer.model.hasByteFallback,
            let known = Self.allCases.first(where: { known in
                tokenizer.preTokenizer.map { known.isSame($0) } == true && tokenizer.model.ignoresMerges == known.ignoresMerges
            }), known.hasNormalizer(tokenizer.addedTokens.normalizer)
        else { return nil }
        self = known
    }

    private func isSame(_ preTokenizer: PreTokenizer) -> Bool {
        switch (preTokenizer, pattern) {
        case (.sequence(let steps), let pattern?):
            guard steps.count == 2, case .split(.regex(let split), .isolated, invert: false) = steps[0],
                case .byteLevel(addsPrefixSpace: false, pattern: nil) = steps[1]
            else { return false }
            return split.source == pattern
        case (.sequence(let steps), nil):
            guard self == .smolLM, steps.count == 2, case .digits(.isolated) = steps[0] else { return false }
            return Self.splitsAsGPT2(steps[1])
        case (_, nil): return self == .gpt2 && Self.splitsAsGPT2(preTokenizer)
        case (_, .some): return false
        }
    }

    private static func splitsAsGPT2(_ preTokenizer: PreTokenizer) -> Bool {
        if case .byteLevel(addsPrefixSpace: false, pattern: .some) = preTokenizer { return true }
        return false
    }

    private func hasNormalizer(_ other: Normalizer?) -> Bool {
        switch (normalizer, other) {
        case (nil, nil): true
        case (.unicode(let form)?, .unicode(let otherForm)?): form == otherForm
        default: false
        }
    }
}
