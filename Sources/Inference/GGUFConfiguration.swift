import JSONReader
import Kernels

/// A model's configuration in the metadata of a GGUF file, as the members of a `config.json`: one validator reads both.
/// Keys: github.com/ggml-org/ggml/blob/master/docs/gguf.md
struct GGUFConfiguration {
    let file: GGUFFile
    /// `general.architecture`, which begins the names of the keys.
    let architecture: String

    private static let required = [
        ("embedding_length", "hidden_size"), ("feed_forward_length", "intermediate_size"), ("block_count", "num_hidden_layers"),
        ("context_length", "max_position_embeddings"), ("attention.head_count", "num_attention_heads"),
        ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ]
    private static let optional = [
        ("attention.head_count_kv", "num_key_value_heads"), ("attention.key_length", "head_dim"), ("rope.freq_base", "rope_theta"),
    ]
    /// Read one by one below, or of no effect on what the model computes.
    private static let others: Set<String> = [
        "attention.value_length", "attention.sliding_window", "vocab_size", "rope.dimension_count", "rope.scaling.type",
        "rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.finetuned", "rope.scale_linear",
    ]

    init(_ file: GGUFFile) throws(ModelError) {
        self.file = file
        let name = try file.requiredText("general.architecture")
        guard ["llama", "qwen2", "qwen3"].contains(name) else { throw file.refuse("general.architecture", .unsupported) }
        architecture = name
    }

    private func key(_ name: String) -> String { "\(architecture).\(name)" }

    private func refuse(_ name: String, _ reason: ModelError.Reason) -> ModelError { file.refuse(key(name), reason) }

    /// Before the configuration is known, and so within the bounds that it is going to be held to.
    func headDim() throws(ModelError) -> Int {
        if let explicit = try file.integer(key("attention.key_length")) {
            guard explicit >= 2, explicit % 2 == 0 else { throw refuse("attention.key_length", .unsupported) }
            return explicit
        }
        guard let width = try file.integer(key("embedding_length")) else { throw refuse("embedding_length", .missing) }
        guard let heads = try file.integer(key("attention.head_count")) else { throw refuse("attention.head_count", .missing) }
        guard heads >= 1, width >= 1, width % heads == 0, width / heads % 2 == 0 else {
            throw refuse("attention.head_count", .inconsistent)
        }
        return width / heads
    }

    /// The members of the `config.json` that says the same.
    func reader() throws(ModelError) -> ConfigurationReader {
        try refuseUnknownKeys()
        var members: [String: ConfigMember] = [:], names = ["architectures": "general.architecture"]
        let window = file.value(key("attention.sliding_window"))
        members["architectures"] = .array([.string(try className(hasWindow: window != nil).rawValue)])
        for (name, member) in Self.required {
            guard let value = file.value(key(name)) else { throw refuse(name, .missing) }
            (members[member], names[member]) = (value.member, key(name))
        }
        for (name, member) in Self.optional {
            guard let value = file.value(key(name)) else { continue }
            (members[member], names[member]) = (value.member, key(name))
        }
        if let window { (members["sliding_window"], names["sliding_window"]) = (window.member, key("attention.sliding_window")) }
        members["tie_word_embeddings"] = .bool(file["output.weight"] == nil)
        members["attention_bias"] = .bool(file["blk.0.attn_q.bias"] != nil)
        (members["vocab_size"], names["vocab_size"]) = try vocabularySize()
        (members["bos_token_id"], names["bos_token_id"]) = (file.value("tokenizer.ggml.bos_token_id")?.member, "tokenizer.ggml.bos_token_id")
        (members["eos_token_id"], names["eos_token_id"]) = (.array(try endTokens()), "tokenizer.ggml.eos_token_id")
        members["rope_scaling"] = try scaling()
        names["rope_scaling.factor"] = key("rope.scaling.factor")
        names["rope_scaling.rope_type"] = key("rope.scaling.type")
        try refusePartialHeads()
        return try ConfigurationReader(contents: Array(ConfigMember.object(members).json.utf8), name: file.path, names: names)
    }

    private func refuseUnknownKeys() throws(ModelError) {
        let known = Self.others.union((Self.required + Self.optional).map(\.0))
        for name in file.contents.metadata.keys.sorted() where name.hasPrefix(architecture + ".") {
            guard known.contains(String(name.dropFirst(architecture.count + 1))) else { throw file.refuse(name, .unsupported) }
        }
    }

    /// Mistral is a `llama` there; what sets it apart is its window.
    private func className(hasWindow: Bool) throws(ModelError) -> ModelConfiguration.Architecture {
        switch architecture {
        case "llama": return hasWindow ? .mistral : .llama
        case "qwen2": if hasWindow { throw refuse("attention.sliding_window", .unsupported) } else { return .qwen2 }
        default: if hasWindow { throw refuse("attention.sliding_window", .unsupported) } else { return .qwen3 }
        }
    }

    /// Rotation covers whole heads, and values are as long as keys.
    private func refusePartialHeads() throws(ModelError) {
        let headDim = try headDim()
        for name in ["attention.value_length", "rope.dimension_count"] {
            if let length = try file.integer(key(name)), length != headDim { throw refuse(name, .unsupported) }
        }
    }

    private func vocabularySize() throws(ModelError) -> (ConfigMember, String) {
        let tokens = "tokenizer.ggml.tokens"
        if let count = try file.elementCount(tokens) { return (.integer(count), tokens) }
        guard let declared = file.value(key("vocab_size")) else { throw file.refuse(tokens, .missing) }
        return (declared.member, key("vocab_size"))
    }

    /// The end of a text, of a turn and of a message. Older files do not name the end of a turn: there it is known by its text.
    private func endTokens() throws(ModelError) -> [ConfigMember] {
        var ends: [Int] = []
        for name in ["eos_token_id", "eot_token_id", "eom_token_id"] {
            if let id = try file.integer("tokenizer.ggml.\(name)"), !ends.contains(id) { ends.append(id) }
        }
        if file.value("tokenizer.ggml.eot_token_id") == nil, let tokens = try file.strings("tokenizer.ggml.tokens") {
            let turnEnds = ["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>"].map { Array($0.utf8) }
            for id in tokens.indices where turnEnds.contains(tokens[id]) && !ends.contains(id) { ends.append(id) }
        }
        return ends.map { .integer($0) }
    }

    private func scaling() throws(ModelError) -> ConfigMember? {
        if let older = try number("rope.scale_linear"), older != 1 {
            guard file.value(key("rope.scaling.type")) == nil else { throw refuse("rope.scale_linear", .inconsistent) }
            return .object(["rope_type": .string("linear"), "factor": .number(older)])
        }
        guard let type = try file.text(key("rope.scaling.type")), type != "none" else {
            if let factor = try number("rope.scaling.factor"), factor != 1 { throw refuse("rope.scaling.factor", .unsupported) }
            return nil
        }
        var members: [String: ConfigMember] = ["rope_type": .string(type)]
        members["factor"] = file.value(key("rope.scaling.factor"))?.member
        return .object(members)
    }

    private func number(_ name: String) throws(ModelError) -> Double? {
        switch file.value(key(name)) {
        case nil: return nil
        case .integer(let value)?: return Double(value)
        case .number(let value)?: return value
        default: throw refuse(name, .wrongType)
        }
    }

    /// `rope_freqs.weight`: what each frequency is divided by, `[headDim / 2]`.
    func ropeFactors() throws(ModelError) -> [Float]? {
        guard let tensor = file[GGUFTensors.ropeFactors] else { return nil }
        let count = try headDim() / 2
        guard tensor.shape == [count] else { throw ModelError(file.path, tensor.name, value: "\(tensor.shape)", .shape) }
        guard tensor.type == .float32, let base = file.bytes(of: tensor).baseAddress else {
            throw ModelError(file.path, tensor.name, value: tensor.type.rawValue, .unsupported)
        }
        var factors = [Float](repeating: 0, count: count)
        tensor.type.widen(base, into: &factors, count: count)
        if let bad = factors.first(where: { !(1e-6...1e6).contains($0) }) {
            throw ModelError(file.path, tensor.name, value: "\(bad)", .outOfRange)
        }
        return factors
    }
}

extension ModelConfiguration {
    /// - Throws: ``ModelError`` with the key as the file has it.
    init(_ file: GGUFFile) throws(ModelError) {
        let metadata = try GGUFConfiguration(file)
        try self.init(metadata.reader(), ropeFactors: metadata.ropeFactors())
    }
}

extension GGUFValue {
    /// The same value in a `config.json`; arrays, of which no member there is made, as one of their number of elements.
    fileprivate var member: ConfigMember {
        switch self {
        case .integer(let value): .integer(value)
        case .number(let value): .number(value)
        case .bool(let value): .bool(value)
        case .string(let value): .string(value)
        case .array(let array): .array(array.count == 0 ? [] : [.bool(false)])
        }
    }
}

/// A member of the `config.json` that a GGUF file stands for.
private indirect enum ConfigMember {
    case integer(Int)
    case number(Double)
    case bool(Bool)
    case string(String)
    case array([ConfigMember])
    case object([String: ConfigMember])

    /// Numbers that JSON does not have become one that nothing here allows.
    var json: String {
        switch self {
        case .integer(let value): "\(value)"
        case .number(let value): value.isFinite ? "\(value)" : "1e308"
        case .bool(let value): "\(value)"
        case .string(let value): Self.quoted(value)
        case .array(let values): "[" + values.map(\.json).joined(separator: ",") + "]"
        case .object(let members):
            "{" + members.sorted { $0.key < $1.key }.map { Self.quoted($0.key) + ":" + $0.value.json }.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\" + String(scalar)
            case "\u{0}"..<" ":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
