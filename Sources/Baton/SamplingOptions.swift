import ArgumentParser
import ClusterCore
import Generation

/// How an answer is drawn, as flags.
struct SamplingOptions: ParsableArguments {
    @Option(help: "Tokens to generate at most (default: as many as the model's length allows).")
    var maxTokens: Int32?

    @Option(help: "0 takes the most probable token every time.")
    var temperature: Float = 0

    @Option(help: "Draw from the most probable tokens that together reach this probability.")
    var topP: Float = 1

    @Option(help: "Draw from this many of the most probable tokens; 0 for all.")
    var topK: Int32 = 0

    @Option(help: "Drop tokens less probable than this times the most probable one.")
    var minP: Float = 0

    @Option(help: "Divides the logits of tokens already seen; 1 is neutral.")
    var repetitionPenalty: Float = 1

    @Option(help: "Subtracted from the logits of tokens already generated.")
    var presencePenalty: Float = 0

    @Option(help: "Subtracted once for each time a token was generated.")
    var frequencyPenalty: Float = 0

    @Option(help: "Key of the random numbers (default: drawn, and shown with --json).")
    var seed: UInt64?

    @Option(help: "End the answer before this text; may be repeated.")
    var stop: [String] = []

    @Flag(help: "Go on after the model's end token.")
    var ignoreEos = false

    func validate() throws {
        if let maxTokens, maxTokens < 1 {
            throw ValidationError("--max-tokens must be at least 1, not \(maxTokens)")
        }
        try sampling(seed: 0).validated()
    }

    func sampling(seed: UInt64) -> SamplingParameters {
        SamplingParameters(
            temperature: temperature, topP: topP, topK: topK, minP: minP, repetitionPenalty: repetitionPenalty,
            presencePenalty: presencePenalty, frequencyPenalty: frequencyPenalty, seed: seed)
    }

    func submission(prompt: Prompt, priority: Priority) -> Submission {
        Submission(
            prompt: prompt, sampling: sampling(seed: seed ?? 0), seed: seed, maxTokens: maxTokens, stopStrings: stop,
            ignoreEndTokens: ignoreEos, priority: priority)
    }
}

extension SamplingParameters {
    /// - Throws: a usage error that names the flag.
    fileprivate func validated() throws {
        do { try validate() } catch let error as InvalidSampling {
            let flag = error.parameter.replacing("_", with: "-")
            throw ValidationError("--\(flag) \(error.problem)")
        }
    }
}
