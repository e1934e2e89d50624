import Generation

/// A byte-level vocabulary of any size for a model of random weights, so that servers that want text can run it: the 256
/// bytes, pairs of letters, and tokens that no text is cut into but that have one, so that every token of an answer can be seen.
enum SyntheticVocabulary {
    /// The keys of a GGUF file. Too small a vocabulary has no text at all.
    static func entries(of c: ModelConfiguration) -> [GGUFEntry] {
        let ends = Set(c.endTokens + (c.beginToken.map { [$0] } ?? []))
        guard c.vocabularySize >= 256 + ends.count else { return [GGUFEntry("tokenizer.ggml.model", .string("no_vocab"))] }
        let letters = "etaoinsrhldcumfpgwybvkxjqz".unicodeScalars.map(String.init)
        let pairs = letters.flatMap { first in letters.map { (first, $0) } }
            .prefix(max(0, c.vocabularySize - ends.count - 256))
        var words = (ByteSpelling.all + pairs.map { $0 + $1 })[...]
        var tokens: [[UInt8]] = [], types: [Int32] = []
        for id in 0..<c.vocabularySize {
            if ends.contains(TokenID(id)) {
                tokens.append(Array("<|\(id)|>".utf8))
                types.append(3)
            } else if let word = words.popFirst() {
                tokens.append(Array(word.utf8))
                types.append(1)
            } else {
                tokens.append(Array("~\(id)".utf8))
                types.append(1)
            }
        }
        let merges = pairs.map { Array("\($0) \($1)".utf8) }
        return [
            GGUFEntry("tokenizer.ggml.model", .string("gpt2")), GGUFEntry("tokenizer.ggml.pre", .string("gpt-2")),
            GGUFEntry("tokenizer.ggml.tokens", .strings(tokens)), GGUFEntry("tokenizer.ggml.token_type", .int32s(types)),
            GGUFEntry("tokenizer.ggml.merges", .strings(merges)), GGUFEntry("tokenizer.ggml.add_bos_token", .bool(false)),
        ]
    }
}

/// GPT-2's printable character for each byte.
private enum ByteSpelling {
    static let all: [String] = {
        var next: UInt32 = 0x100
        return (UInt32(0)..<256).map { byte in
            let isPrintable = (0x21...0x7e).contains(byte) || (0xa1...0xac).contains(byte) || (0xae...0xff).contains(byte)
            defer { if !isPrintable { next += 1 } }
            return Unicode.Scalar(isPrintable ? byte : next).map(String.init) ?? ""
        }
    }()
}
