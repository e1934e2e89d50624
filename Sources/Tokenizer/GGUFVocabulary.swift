/// The vocabulary of a GGUF file: the values of its `tokenizer.` keys, in the types of the file and not checked otherwise.
public struct GGUFVocabulary: Sendable, Hashable {
    /// `tokenizer.ggml.token_type`.
    public enum TokenType: Int32, Sendable, Hashable, CaseIterable {
        case normal = 1, unknown, control, userDefined, unused, byte
    }

    /// Of the file, for errors.
    public var file: String
    /// `tokenizer.ggml.model`: `gpt2` (byte-level BPE) or `llama` (SentencePiece's BPE with byte fallback).
    public var model: String
    /// `tokenizer.ggml.pre`: how a text is split before `gpt2` sees it, see ``GGUFPreTokenizer``.
    public var pre: String?
    /// By id.
    public var tokens: [[UInt8]]
    /// By id; all are normal if it is missing.
    public var types: [Int]?
    /// By id; of `llama`.
    public var scores: [Float]?
    /// `a b`, in order; of `gpt2`.
    public var merges: [[UInt8]]?
    public var bosToken: Int?
    public var eosToken: Int?
    public var unknownToken: Int?
    public var addsBOS: Bool?
    public var addsEOS: Bool?
    public var addsSpacePrefix: Bool?
    public var chatTemplate: String?
    /// The chat template for requests with tools, where that is another one.
    public var toolUseTemplate: String?

    public init(file: String, model: String, tokens: [[UInt8]]) {
        self.file = file
        self.model = model
        self.tokens = tokens
    }
}

/// The ways to split a text that GGUF files name, and that are known to be what the models were trained with.
enum GGUFPreTokenizer: String, CaseIterable {
    case gpt2 = "gpt-2"
    case llama3 = "llama-bpe"
    case qwen2
    case smolLM = "smollm"
    case tekken

    init?(named name: String) {
        switch name {
        case "default": self = .gpt2
        case "llama3", "llama-v3": self = .llama3
        default:
            guard let known = GGUFPreTokenizer(rawValue: name) else { return nil }
            self = known
        }
    }

    /// What a text is split by before its bytes are spelled; `gpt-2` and `smollm` split by GPT-2's own pattern.
    var pattern: String? {
        switch self {
        case .gpt2, .smolLM: nil
        case .llama3: Self.words + #"|\p{N}{1,3}"# + Self.rest
        case .qwen2: Self.words + #"|\p{N}"# + Self.rest
        case .tekken:
            #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"#
                + #"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"#
                + #"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        }
    }

    private static let words = #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"#
    private static let rest = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    var preTokenizer: PreTokenizer {
        if let pattern {
            return .sequence([
                .split(.regex(Pattern(known: pattern)), .isolated, invert: false), .byteLevel(addsPrefixSpace: false, pattern: nil),
            ])
        }
        let words = PreTokenizer.byteLevel(addsPrefixSpace: false, pattern: Pattern(known: Pattern.gpt2))
        return self == .smolLM ? .sequence([.digits(.isolated), words]) : words
    }

    /// Qwen's models were trained on composed characters.
    var normalizer: Normalizer? { self == .qwen2 ? .unicode(.nfc) : nil }

    /// Whether a word that is a token stays whole.
    var ignoresMerges: Bool { self == .llama3 || self == .tekken }

    /// Whether a text gets a first token unless the file says otherwise.
    var addsBOS: Bool { self == .llama3 || self == .tekken }
}
