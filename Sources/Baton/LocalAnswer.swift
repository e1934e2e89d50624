import ArgumentParser
import BatonClient
import ClusterCore
import Foundation
import Generation
import Grammar
import Inference
import Kernels
import RequestAdmission
import Tokenizer

/// The engine of `--local`.
struct LocalEngineOptions: ParsableArguments {
    @Option(help: "Directory of a Hugging Face model, or a GGUF file, for --local.")
    var model: String?

    @Option(help: "Number format of the weights with --local: auto, float32, bfloat16 or int8.")
    var dtype = WeightFormat.auto

    @Option(help: "Number format of KV with --local: auto (as the weights), float32, bfloat16 or int8.")
    var kvDtype = KVFormat.auto

    @Option(help: "Where packed weights are kept for the next start and for other processes: auto (beside the model, else among the user's caches; small models nowhere), off, or a directory.")
    var weightCache = WeightCache.automatic

    @Option(help: "Compute threads with --local.")
    var threads = 1

    func validate() throws {
        guard (1...1024).contains(threads) else { throw ValidationError("--threads must be 1 to 1024, not \(threads)") }
    }
}

/// One request alone in this process, told in the same events as a cluster's answer.
enum LocalAnswer {
    /// The events of one answer; the work is done on a thread of its own.
    static func stream(
        _ submission: Submission, engine options: LocalEngineOptions
    ) -> AsyncThrowingStream<AnswerEvent, any Error> {
        let (stream, continuation) = AsyncThrowingStream<AnswerEvent, any Error>.makeStream()
        let thread = Thread {
            do {
                try Session(options).answer(submission) { continuation.yield($0) }
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
        thread.stackSize = 8 << 20
        thread.start()
        return stream
    }

    /// Every submission alone, one after the other, with one engine.
    static func answers(to submissions: [Submission], engine options: LocalEngineOptions) async throws -> [Answer] {
        try await withCheckedThrowingContinuation { done in
            let thread = Thread {
                done.resume(
                    with: Result {
                        let session = try Session(options)
                        return try submissions.map { try session.answer($0) }
                    })
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
    }
}

/// Tokenizer and engine, on the thread that made them.
private final class Session {
    private let admission: Admission
    private let generation: LocalGeneration
    /// Made for the first constraint.
    private var vocabulary: TokenVocabulary?

    init(_ options: LocalEngineOptions) throws {
        guard let path = options.model else { throw ValidationError("--local needs --model PATH") }
        let environment = ProcessInfo.processInfo.environment
        let team = try ThreadTeam(maxThreads: options.threads)
        let model = try Model(
            path: path, format: options.dtype, kernels: try KernelSet.select(environment: environment), team: team,
            threads: options.threads, float32Path: try Float32Path.select(environment: environment), cache: options.weightCache)
        admission = Admission(
            tokenizer: try Tokenizer(modelPath: path), configuration: model.configuration,
            maxModelLength: .max)
        generation = LocalGeneration(
            engine: try Engine(model: model, team: team), threads: options.threads, kvFormat: options.kvDtype)
    }

    func answer(_ submission: Submission) throws -> Answer {
        var assembly = AnswerAssembly()
        try answer(submission) { try assembly.take($0) }
        guard let answer = assembly.answer else { throw ClientError.brokenStream("no end") }
        return answer
    }

    func answer(_ submission: Submission, _ report: (AnswerEvent) throws -> Void) throws {
        let began = ContinuousClock.now
        let admitted = try admission.admit(submission, drawnSeed: .random(in: 0 ... .max))
        try report(
            .accepted(
                Acceptance(
                    request: RequestID(0), seed: admitted.sampling.seed, promptCount: Int32(admitted.prompt.count),
                    choices: admitted.choices)))
        if let top = admitted.promptLogprobs {
            try report(.prompt(first: 0, tokens: try generation.scores(of: admitted.prompt, top: Int(top))))
        }
        let grammar = try admitted.constraint.map { try tables(of: $0) }
        for choice in 0..<admitted.choices { try answer(admitted, submission, choice, grammar, since: began, report) }
    }

    private func tables(of constraint: Constraint) throws -> MaskTables {
        let vocabulary = try vocabulary ?? TokenVocabulary(admission.tokenizer)
        self.vocabulary = vocabulary
        return MaskTables(try GrammarCompiler(vocabulary: vocabulary).compile(OutputConstraint(constraint)))
    }

    private func answer(
        _ admitted: Admission.Admitted, _ submission: Submission, _ choice: Int32, _ grammar: MaskTables?,
        since began: ContinuousClock.Instant,
        _ report: (AnswerEvent) throws -> Void
    ) throws {
        var text = admission.answerText(of: submission)
        var first = ContinuousClock.now, count = 0, reason = FinishReason.length
        if admitted.stop.maxTokens > 0 {
            let answer = try generation.generate(
                prompt: admitted.prompt, parameters: admitted.sampling, stop: admitted.stop, choice: UInt32(choice),
                logprobs: admitted.logprobs.map(Int.init),
                onToken: { token, index in
                    if index == 0 { first = .now }
                    let piece = text.append(token.token)
                    try report(.tokens(choice: choice, firstIndex: index, tokens: [token], text: piece))
                    return !text.isStopped
                },
                mask: grammar?.masking(endTokens: admitted.stop.endTokens))
            (count, reason) = (answer.tokens.count, answer.finishReason)
        }
        let decode = ContinuousClock.now - first
        try report(
            .finished(
                choice: choice,
                Completion(
                    reason: reason, text: text.finish(), tokenCount: Int32(count),
                    timings: Timings(
                        prefill: first - began, timeToFirstToken: first - began,
                        timePerOutputToken: count > 1 ? decode / (count - 1) : .zero),
                    prefillWorker: WorkerID("local"), decodeWorker: WorkerID("local"), attempts: 1)))
    }
}

extension MaskTables {
    /// The masks of one answer, token by token.
    fileprivate func masking(endTokens: [TokenID]) -> (_ answer: [TokenID]) throws -> TokenMask {
        var tables = self, state = grammar.start
        return { answer in
            for token in answer.dropFirst(state.tokenCount) {
                try state.advance(by: token, endTokens: endTokens, in: tables.grammar)
            }
            return tables.mask(of: state, endTokens: endTokens)
        }
    }
}
