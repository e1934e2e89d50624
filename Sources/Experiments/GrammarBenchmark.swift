import Generation
import Grammar

/// What masks cost a row: the mask of a state and reading the token that follows, cold and warm, beside a step of a model.
public struct GrammarBenchmark: Sendable {
    public struct Row: Encodable, Sendable {
        public var constraint: String
        public var states: Int
        public var compileMilliseconds: Double
        /// The slowest and the median of the first pass over the answers.
        public var coldWorstMicroseconds: Double
        public var coldMicroseconds: Double
        /// Of later passes over the same answers.
        public var warmMicroseconds: Double
        public var warmMeanMicroseconds: Double
        public var warmP99Microseconds: Double
        /// Of the warm mean, of a step that takes as long as was given.
        public var stepShare: Double
        public var megabytes: Double
        public var tokens: Int

        enum CodingKeys: String, CodingKey {
            case constraint, states, tokens, megabytes
            case compileMilliseconds = "compile_milliseconds"
            case coldWorstMicroseconds = "cold_worst_microseconds"
            case coldMicroseconds = "cold_microseconds"
            case warmMicroseconds = "warm_microseconds"
            case warmMeanMicroseconds = "warm_mean_microseconds"
            case warmP99Microseconds = "warm_p99_microseconds"
            case stepShare = "step_share"
        }
    }

    public static let constraints: [(name: String, constraint: OutputConstraint)] = [
        ("json_object", .jsonObject),
        ("schema: person", .jsonSchema(#"{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},"email":{"type":"string","format":"email"},"tags":{"type":"array","items":{"type":"string"}}},"required":["name","age"],"additionalProperties":false}"#)),
        ("schema: tree", .jsonSchema(##"{"$defs":{"node":{"type":"object","properties":{"value":{"type":"number"},"children":{"type":"array","items":{"$ref":"#/$defs/node"}}},"required":["value"],"additionalProperties":false}},"$ref":"#/$defs/node"}"##)),
        ("schema: 200 optional properties", .jsonSchema(
            "{\"type\":\"object\",\"properties\":{" + (0..<200).map { "\"key\($0 * 7)\":{\"type\":\"string\"}" }.joined(separator: ",") + "}}")),
        ("schema: enum of 1000", .jsonSchema("{\"enum\":[" + (0..<1000).map { "\"value \($0 * 31 % 1009)\"" }.joined(separator: ",") + "]}")),
        ("schema: string of 20 to 500", .jsonSchema(#"{"type":"string","minLength":20,"maxLength":500}"#)),
        ("regex", .regex("([A-Z][a-z]+ ){2,5}[0-9]{4}(, [\\w.]+@[a-z]+\\.(com|org))?")),
        ("grammar: sums", .grammar("root ::= term ([-+] term)*\nterm ::= factor ([*/] factor)*\nfactor ::= [0-9]+ | [a-z]+ | \"(\" root \")\"")),
    ]

    public let vocabulary: TokenVocabulary
    /// Of a decode step, to compare with.
    public let step: Duration

    public init(vocabulary: TokenVocabulary, step: Duration) {
        self.vocabulary = vocabulary
        self.step = step
    }

    /// - Parameters:
    ///   - answers: different ones, each cut at `maxTokens`.
    ///   - passes: warm ones over all answers.
    public func measure(
        _ name: String, _ constraint: OutputConstraint, answers: Int, passes: Int, maxTokens: Int
    ) throws(GrammarError) -> Row {
        let clock = ContinuousClock(), endToken = TokenID(vocabulary.size - 1)
        let began = clock.now
        var tables = MaskTables(try GrammarCompiler(vocabulary: vocabulary).compile(constraint))
        let compile = clock.now - began
        var cold: [Double] = [], warm: [Double] = []
        for pass in 0...passes {
            for seed in 0..<UInt64(answers) {
                var times: [Double] = []
                _ = try RandomAnswer(from: &tables, endToken: endToken, seed: seed, maxTokens: maxTokens) { times.append($1 / .microseconds(1)) }
                if pass == 0 { cold += times } else { warm += times }
            }
        }
        warm.sort()
        let mean = warm.reduce(0, +) / Double(max(warm.count, 1))
        return Row(
            constraint: name, states: tables.grammar.stateCount, compileMilliseconds: compile / .milliseconds(1),
            coldWorstMicroseconds: cold.max() ?? 0, coldMicroseconds: cold.median ?? 0, warmMicroseconds: warm.median ?? 0,
            warmMeanMicroseconds: mean, warmP99Microseconds: warm.isEmpty ? 0 : warm[min(warm.count - 1, warm.count * 99 / 100)],
            stepShare: mean / (step / .microseconds(1)), megabytes: Double(tables.byteCount) / 1_048_576, tokens: cold.count)
    }
}
