import Foundation
import Generation
import Tokenizer

extension Tokenizer {
    /// The tokenizer of a model: `tokenizer.json` of a Hugging Face directory, or the vocabulary of a GGUF file.
    /// - Throws: `TokenizerError`, `ModelError`.
    public init(modelPath: String) throws {
        if GGUFFile.isCandidate(modelPath) {
            try self.init(GGUFVocabulary(GGUFFile(path: modelPath)))
        } else {
            try self.init(modelDirectory: URL(fileURLWithPath: modelPath))
        }
    }
}

extension GGUFVocabulary {
    /// Reads a file's `tokenizer.` keys.
    /// - Throws: ``ModelError`` if one has another type than the format gives it, or there is no vocabulary.
    public init(_ file: GGUFFile) throws(ModelError) {
        self.init(
            file: file.path, model: try file.requiredText("tokenizer.ggml.model"),
            tokens: try file.strings("tokenizer.ggml.tokens") ?? [])
        pre = try file.text("tokenizer.ggml.pre")
        types = try file.integers("tokenizer.ggml.token_type")
        scores = try file.floats("tokenizer.ggml.scores")
        merges = try file.strings("tokenizer.ggml.merges")
        bosToken = try file.integer("tokenizer.ggml.bos_token_id")
        eosToken = try file.integer("tokenizer.ggml.eos_token_id")
        unknownToken = try file.integer("tokenizer.ggml.unknown_token_id")
        addsBOS = try file.flag("tokenizer.ggml.add_bos_token")
        addsEOS = try file.flag("tokenizer.ggml.add_eos_token")
        addsSpacePrefix = try file.flag("tokenizer.ggml.add_space_prefix")
        chatTemplate = try file.text("tokenizer.chat_template")
        toolUseTemplate = try file.text("tokenizer.chat_template.tool_use")
    }

    /// The keys of a file that say the same; the end token is the model's to write.
    public var entries: [GGUFEntry] {
        var entries = [
            GGUFEntry("tokenizer.ggml.model", .string(model)), GGUFEntry("tokenizer.ggml.tokens", .strings(tokens)),
        ]
        func add(_ key: String, _ value: GGUFEntry.Value?) {
            if let value { entries.append(GGUFEntry("tokenizer." + key, value)) }
        }
        add("ggml.pre", pre.map { .string($0) })
        add("ggml.token_type", types.map { .int32s($0.map { Int32(clamping: $0) }) })
        add("ggml.scores", scores.map { .float32s($0) })
        add("ggml.merges", merges.map { .strings($0) })
        add("ggml.bos_token_id", bosToken.map { .uint32(UInt32(clamping: $0)) })
        add("ggml.unknown_token_id", unknownToken.map { .uint32(UInt32(clamping: $0)) })
        add("ggml.add_bos_token", addsBOS.map { .bool($0) })
        add("ggml.add_eos_token", addsEOS.map { .bool($0) })
        add("ggml.add_space_prefix", addsSpacePrefix.map { .bool($0) })
        add("chat_template", chatTemplate.map { .string($0) })
        add("chat_template.tool_use", toolUseTemplate.map { .string($0) })
        return entries
    }
}
