import ArgumentParser
import ClusterCore
import Foundation
import Generation

/// How an answer is drawn, as flags.
struct SamplingOptions: ParsableArguments {
    @Option(help: "Tokens to generate at most (default: as many as the model's length allows); 0 with --echo and --logprobs only scores the prompt.")
    var maxTokens: Int32?

    @Option(help: "Tokens before which nothing ends the answer.")
    var minTokens: Int32 = 0

    @Option(name: [.customShort("n"), .customLong("n")], help: "Answers, each with random numbers of its own (1 to 128).")
    var choices: Int32 = 1

    @Option(help: "Tell the log-probability of each token, and so many of the most probable ones (0 to 20; with --json).")
    var logprobs: Int32?

    @Flag(help: "Show the prompt before the answer; with --logprobs, also how probable its tokens are.")
    var echo = false

    @Option(help: "Add BIAS to the logit of TOKEN, e.g. 50256:-100; may be repeated.", transform: TokenBias.init(parsing:))
    var logitBias: [TokenBias] = []

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

    @Flag(name: .customLong("include-stop-str-in-output"), help: "The stop string that ended the answer belongs to it.")
    var includesStopString = false

    @Option(name: .customLong("stop-token-ids"), help: "Token ids that end the answer, e.g. 1,2,3.", transform: TokenList.init(parsing:))
    var stopTokens: TokenList?

    @Flag(help: "The answer is a JSON object.")
    var jsonObject = false

    @Option(help: "The answer is JSON that this schema allows; @FILE reads it from a file.", transform: Source.init(argument:))
    var jsonSchema: Source?

    @Option(help: "The answer matches this regular expression as a whole; @FILE reads it from a file.", transform: Source.init(argument:))
    var regex: Source?

    @Option(help: "The answer is what the rule root of this GBNF grammar derives; @FILE reads it from a file.", transform: Source.init(argument:))
    var grammar: Source?

    @Flag(help: "Go on after the model's end token.")
    var ignoreEos = false

    func validate() throws {
        if let maxTokens, maxTokens < (echo && logprobs != nil ? 0 : 1) {
            throw ValidationError("--max-tokens must be at least 1, not \(maxTokens) (0 with --echo and --logprobs)")
        }
        guard (1...Submission.maxChoices).contains(choices) else {
            throw ValidationError("--n must be 1 to \(Submission.maxChoices), not \(choices)")
        }
        if let logprobs, !(0...Int32(TokenLogprobs.maxTop)).contains(logprobs) {
            throw ValidationError("--logprobs must be 0 to \(TokenLogprobs.maxTop), not \(logprobs)")
        }
        guard constraints.count <= 1 else {
            throw ValidationError("give one of --json-object, --json-schema, --regex and --grammar")
        }
        guard minTokens >= 0, minTokens <= maxTokens ?? .max else {
            throw ValidationError("--min-tokens must be 0 to --max-tokens, not \(minTokens)")
        }
        try sampling(seed: 0).validated()
    }

    private var constraints: [Constraint] {
        [
            jsonObject ? Constraint(kind: .jsonObject) : nil, jsonSchema.map { Constraint(kind: .jsonSchema, source: $0.text) },
            regex.map { Constraint(kind: .regex, source: $0.text) }, grammar.map { Constraint(kind: .grammar, source: $0.text) },
        ].compactMap { $0 }
    }

    func sampling(seed: UInt64) -> SamplingParameters {
        SamplingParameters(
            temperature: temperature, topP: topP, topK: topK, minP: minP, repetitionPenalty: repetitionPenalty,
            presencePenalty: presencePenalty, frequencyPenalty: frequencyPenalty,
            logitBias: logitBias.sorted { $0.token < $1.token }, seed: seed)
    }

    func submission(prompt: Prompt, priority: Priority) -> Submission {
        Submission(
            prompt: prompt, sampling: sampling(seed: seed ?? 0), seed: seed, maxTokens: maxTokens, minTokens: minTokens,
            stopStrings: stop, includesStopString: includesStopString, stopTokens: stopTokens?.tokens ?? [],
            ignoreEndTokens: ignoreEos, choices: choices, logprobs: logprobs, promptLogprobs: echo ? logprobs : nil,
            constraint: constraints.first, priority: priority)
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

extension TokenBias {
    /// As it is written on a command line: `TOKEN:BIAS`.
    init(parsing text: String) throws {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let token = TokenID(parts[0]), token >= 0, let bias = Float(parts[1]) else {
            throw ValidationError("expected a token id and a bias like 50256:-100, not \"\(text)\"")
        }
        self.init(token: token, bias: bias)
    }
}

/// A text on the command line, or in a file that is named after an `@`.
struct Source: Sendable {
    let text: String

    init(argument: String) throws {
        guard argument.hasPrefix("@") else {
            text = argument
            return
        }
        let path = String(argument.dropFirst())
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw ValidationError("cannot read \(path)")
        }
    }
}
