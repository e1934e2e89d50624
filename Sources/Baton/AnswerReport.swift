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

    var text: String
    var tokens: [TokenID]
    var finishReason: String
    var seed: UInt64
    var usage: Usage
    var timings: Times
    var workers: Workers
    /// Tries that the answer took.
    var attempts: UInt32

    enum CodingKeys: String, CodingKey {
        case text, tokens, seed, usage, timings, workers, attempts
        case finishReason = "finish_reason"
    }

    init(text: String, tokens: [TokenID], acceptance: Acceptance, completion: Completion) {
        self.text = text
        self.tokens = tokens
        finishReason = completion.reason.rawValue
        seed = acceptance.seed
        let promptCount = Int(acceptance.promptCount)
        usage = Usage(
            promptTokens: promptCount, completionTokens: tokens.count, totalTokens: promptCount + tokens.count)
        timings = Times(completion.timings)
        workers = Workers(prefill: completion.prefillWorker.name, decode: completion.decodeWorker?.name)
        attempts = completion.attempts
    }
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
