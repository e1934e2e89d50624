import BatonClient
import ClusterCore
import Foundation
import Generation

/// What `baton generate --json` prints.
struct AnswerReport: Encodable {
    struct Usage: Encodable {
        var promptTokens: Int
        var completionTokens: Int
        var totalTokens: Int

        enum CodingKeys: String, CodingKey {
            case promptTokens = "prompt_tokens"
            case completionTokens = "completion_tokens"
            case totalTokens = "total_tokens"
        }
    }

    /// Milliseconds.
    struct Times: Encodable {
        var queue: Double
        var prefill: Double
        var transfer: Double
        var timeToFirstToken: Double
        var timePerOutputToken: Double

        enum CodingKeys: String, CodingKey {
            case queue = "queue_ms"
            case prefill = "prefill_ms"
            case transfer = "transfer_ms"
            case timeToFirstToken = "ttft_ms"
            case timePerOutputToken = "tpot_ms"
        }

        init(_ timings: Timings) {
            queue = timings.queue.milliseconds
            prefill = timings.prefill.milliseconds
            transfer = timings.transfer.milliseconds
            timeToFirstToken = timings.timeToFirstToken.milliseconds
            timePerOutputToken = timings.timePerOutputToken.milliseconds
        }
    }

    struct Workers: Encodable {
        var prefill: String
        var decode: String?
    }

    /// A token with its log-probability, if that is known, and the most probable ones in its place.
    struct Score: Encodable {
        struct Candidate: Encodable {
            var token: TokenID
            var logprob: Float?
        }

        var token: TokenID
        /// `nil` is minus infinity, which JSON has no number for, or not known.
        var logprob: Float?
        var top: [Candidate]?

        init(_ scored: ScoredToken) {
            token = scored.token
            logprob = scored.logprobs?.logprob.finite
            top = scored.logprobs?.top.map { Candidate(token: $0.token, logprob: $0.logprob.finite) }
        }
    }

    struct Choice: Encodable {
        var index: Int
        var text: String
        var tokens: [TokenID]
        var logprobs: [Score]?
        var finishReason: String

        enum CodingKeys: String, CodingKey {
            case index, text, tokens, logprobs
            case finishReason = "finish_reason"
        }

        init(_ choice: Answer.Choice, index: Int) {
            self.index = index
            text = choice.text
            tokens = choice.tokens.map(\.token)
            logprobs = Score.list(choice.tokens)
            finishReason = choice.completion.reason.rawValue
        }
    }

    var text: String
    var tokens: [TokenID]
    var logprobs: [Score]?
    var finishReason: String
    /// All of them, if there are several; the fields beside are the first one's.
    var choices: [Choice]?
    var prompt: String?
    var promptLogprobs: [Score]?
    var seed: UInt64
    var usage: Usage
    var timings: Times
    var workers: Workers
    /// Tries that the answer took.
    var attempts: UInt32

    enum CodingKeys: String, CodingKey {
        case text, tokens, logprobs, choices, prompt, seed, usage, timings, workers, attempts
        case finishReason = "finish_reason"
        case promptLogprobs = "prompt_logprobs"
    }

    init(_ answer: Answer, prompt: String? = nil) {
        let completion = answer.completion
        text = answer.text
        tokens = answer.tokens
        logprobs = Score.list(answer.choices[0].tokens)
        finishReason = completion.reason.rawValue
        if answer.choices.count > 1 {
            choices = answer.choices.enumerated().map { Choice($1, index: $0) }
        }
        self.prompt = prompt
        promptLogprobs = answer.prompt.isEmpty ? nil : answer.prompt.map(Score.init)
        seed = answer.acceptance.seed
        let promptCount = Int(answer.acceptance.promptCount)
        let count = answer.choices.reduce(0) { $0 + $1.tokens.count }
        usage = Usage(promptTokens: promptCount, completionTokens: count, totalTokens: promptCount + count)
        timings = Times(completion.timings)
        workers = Workers(prefill: completion.prefillWorker.name, decode: completion.decodeWorker?.name)
        attempts = completion.attempts
    }
}

extension AnswerReport.Score {
    /// `nil` if no log-probabilities were asked for.
    fileprivate static func list(_ tokens: [ScoredToken]) -> [Self]? {
        tokens.contains { $0.logprobs != nil } ? tokens.map(Self.init) : nil
    }
}

extension Float {
    fileprivate var finite: Float? { isFinite ? self : nil }
}

extension Duration {
    /// To a microsecond, which is as exact as these figures are.
    var milliseconds: Double {
        let (seconds, attoseconds) = components
        return (Double(seconds) * 1e6 + Double(attoseconds) / 1e12).rounded() / 1e3
    }
}

/// One JSON object on a line of standard output.
func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
}
