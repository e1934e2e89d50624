import ClusterCore
import Generation
import JSONReader

/// What completions and chat completions have in common.
struct SharedParameters: Sendable, Hashable {
    static let names: Set<String> = [
        "model", "temperature", "top_p", "top_k", "min_p", "n", "stop", "seed", "presence_penalty", "frequency_penalty",
        "repetition_penalty", "logit_bias", "stream", "stream_options", "ignore_eos", "min_tokens", "stop_token_ids",
        "include_stop_str_in_output", "priority", "timeout", "user", "max_tokens", "max_completion_tokens",
        "cache_salt",
    ]

    /// Choices of one prompt, and of all prompts of a request together.
    static let mostChoices = Int(Submission.maxChoices)
    private static let mostStops = 16
    private static let longestStop = 1024

    var model: String?
    var sampling = SamplingParameters()
    var seed: UInt64?
    /// Choices for each prompt.
    var choices = 1
    var stop: [String] = []
    var includesStop = false
    var stopTokens: [TokenID] = []
    var ignoresEndTokens = false
    var minTokens: Int32 = 0
    var streams = false
    /// The last chunk of a stream tells how many tokens there were.
    var includesUsage = false
    /// Every chunk tells it.
    var includesUsageAlways = false
    var priority = Priority.normal
    /// Prefixes are shared only among requests of the same salt.
    var cacheSalt = ""
    var timeout: Duration?
    /// Never a client's: lines of a job that begin alike name it.
    var group: PrefixGroup?

    init() {}

    init(_ reader: ParameterReader) throws(APIError) {
        model = try reader.text("model")
        _ = try reader.text("user")
        sampling = try Self.sampling(reader)
        // Any whole number is a seed; a negative one stands for its bits.
        seed = try reader.integer("seed").map { UInt64(bitPattern: Int64($0)) }
        choices = try reader.integer("n", in: 1...Self.mostChoices) ?? 1
        stop = try reader.texts("stop", atMost: Self.mostStops, bytes: Self.longestStop).filter { !$0.isEmpty }
        includesStop = try reader.boolean("include_stop_str_in_output") ?? false
        ignoresEndTokens = try reader.boolean("ignore_eos") ?? false
        minTokens = try reader.integer("min_tokens", in: 0...Int(Int32.max)).map { Int32($0) } ?? 0
        stopTokens = try Self.stopTokens(reader)
        try readStream(reader)
        priority = try Self.priority(reader)
        cacheSalt = try Self.cacheSalt(reader)
        if let seconds = try reader.number("timeout") {
            guard seconds > 0, seconds <= 1e6 else {
                throw reader.invalid("timeout", "must be above 0 and at most 1000000 seconds, but is \(seconds)")
            }
            timeout = .seconds(seconds)
        }
    }

    /// Under the name that vLLM gave it.
    private static func cacheSalt(_ reader: ParameterReader) throws(APIError) -> String {
        let salt = try reader.text("cache_salt") ?? ""
        guard salt.utf8.count <= Submission.maxCacheSaltBytes else {
            throw reader.invalid("cache_salt", "has more than \(Submission.maxCacheSaltBytes) bytes")
        }
        return salt
    }

    private static func sampling(_ reader: ParameterReader) throws(APIError) -> SamplingParameters {
        // OpenAI takes 0 too: only the most probable token reaches so little.
        let topP = try reader.float("top_p").map { $0 == 0 ? .leastNormalMagnitude : $0 }
        var sampling = SamplingParameters(
            temperature: try reader.float("temperature") ?? 1, topP: topP ?? 1,
            minP: try reader.float("min_p") ?? 0, repetitionPenalty: try reader.float("repetition_penalty") ?? 1)
        // -1 keeps all for vLLM, 0 for llama-server.
        sampling.topK = try reader.integer("top_k", in: -1...Int(Int32.max)).map { Int32(max(0, $0)) } ?? 0
        sampling.presencePenalty = try reader.number("presence_penalty", in: -2...2).map { Float($0) } ?? 0
        sampling.frequencyPenalty = try reader.number("frequency_penalty", in: -2...2).map { Float($0) } ?? 0
        sampling.logitBias = try logitBias(reader)
        do {
            try sampling.validate()
        } catch {
            throw reader.invalid(error.parameter, error.problem)
        }
        return sampling
    }

    /// An object of biases by token id, as OpenAI has it.
    private static func logitBias(_ reader: ParameterReader) throws(APIError) -> [TokenBias] {
        guard let object = try reader.object("logit_bias") else { return [] }
        var biases: [TokenID: Float] = [:]
        for (key, value) in object {
            guard let id = key.text.flatMap({ TokenID($0) }), id >= 0 else {
                throw reader.invalid("logit_bias", "\(key.shown) is no token id")
            }
            guard let bias = value.number, (-100...100).contains(bias) else {
                throw reader.invalid("logit_bias", "the bias of \(id) must be a number from -100 to 100, not \(value.shown)")
            }
            biases[id] = Float(bias)
            guard biases.count <= SamplingParameters.maxBiasedTokens else {
                throw reader.invalid("logit_bias", "names more than \(SamplingParameters.maxBiasedTokens) tokens")
            }
        }
        return biases.sorted { $0.key < $1.key }.map { TokenBias(token: $0.key, bias: $0.value) }
    }

    private static func stopTokens(_ reader: ParameterReader) throws(APIError) -> [TokenID] {
        guard let value = reader["stop_token_ids"] else { return [] }
        guard let array = value.array else { throw reader.wrong("stop_token_ids", value, expected: "an array of token ids") }
        guard array.count <= Submission.maxStopTokens else {
            throw reader.invalid("stop_token_ids", "has more than \(Submission.maxStopTokens) ids")
        }
        return try array.map { (element) throws(APIError) in
            guard let id = ParameterReader.tokenID(element) else {
                throw reader.wrong("stop_token_ids", element, expected: "a token id")
            }
            return id
        }
    }

    private mutating func readStream(_ reader: ParameterReader) throws(APIError) {
        streams = try reader.boolean("stream") ?? false
        guard let object = try reader.object("stream_options") else { return }
        guard streams else { throw reader.invalid("stream_options", "only goes with stream") }
        let options = ParameterReader(
            object, names: ["include_usage", "continuous_usage_stats"], prefix: "stream_options.")
        includesUsageAlways = try options.boolean("continuous_usage_stats") ?? false
        includesUsage = try options.boolean("include_usage") ?? includesUsageAlways
    }

    /// By name, or as vLLM has it: a number, and the lower the sooner.
    private static func priority(_ reader: ParameterReader) throws(APIError) -> Priority {
        guard let value = reader["priority"] else { return .normal }
        if let number = ParameterReader.integer(value) { return number < 0 ? .high : number > 0 ? .low : .normal }
        switch value.text {
        case "high": return .high
        case "normal": return .normal
        case "low": return .low
        default: throw reader.wrong("priority", value, expected: "low, normal, high or an integer")
        }
    }

    /// What the scheduler gets for one prompt.
    func submission(_ prompt: [TokenID], maxTokens: Int32?, timeout: Duration?) -> Submission {
        Submission(
            prompt: .tokens(prompt), sampling: sampling, seed: seed, maxTokens: maxTokens, minTokens: minTokens,
            stopStrings: stop, includesStopString: includesStop, stopTokens: stopTokens, ignoreEndTokens: ignoresEndTokens,
            choices: Int32(choices), priority: priority, cacheSalt: cacheSalt, group: group, timeout: timeout)
    }
}
