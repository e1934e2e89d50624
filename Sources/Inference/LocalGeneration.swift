import Generation
import Grammar
import Kernels

/// One request alone, in process: the reference that every other way of serving must equal to the bit.
public final class LocalGeneration {
    public let engine: Engine
    public let threads: Int
    public let kvFormat: KVFormat
    public let blockSize: Int
    private var sampler: Sampler

    public init(engine: Engine, threads: Int, kvFormat: KVFormat = .auto, blockSize: Int = 16) {
        self.engine = engine
        self.threads = threads
        self.kvFormat = kvFormat
        self.blockSize = blockSize
        sampler = Sampler(kernels: engine.model.kernels)
    }

    public struct Answer: Sendable, Hashable {
        public var tokens: [TokenID]
        public var finishReason: FinishReason
        /// Of each token, if they were asked for.
        public var logprobs: [TokenLogprobs] = []
    }

    /// Logit rows in memory at a time when a prompt is scored.
    static let scoringSlice = 32

    /// Generates until `stop` says so.
    /// - Parameters:
    ///   - chunkSize: prompt tokens per prefill step; does not change the answer.
    ///   - choice: index of the answer among the `n` of a request; that of the parameters by default.
    ///   - logprobs: log-probabilities are wanted, and of so many of the most probable tokens.
    ///   - onToken: called with each token as it is chosen; false ends the generation early (as `stop`).
    ///   - mask: the tokens that may follow an answer so far; `nil`: any.
    /// - Throws: ``GenerationError``, ``ForwardError``, ``SamplingError``, `KernelError`.
    public func generate(
        prompt: [TokenID], parameters: SamplingParameters, stop: StopConditions, choice: UInt32? = nil,
        logprobs top: Int? = nil, chunkSize: Int = 512,
        onToken: (_ token: ScoredToken, _ index: Int32) throws -> Bool = { _, _ in true },
        mask: ((_ answer: [TokenID]) throws -> TokenMask)? = nil
    ) throws -> Answer {
        precondition(chunkSize >= 1, "chunks of \(chunkSize) tokens")
        guard !prompt.isEmpty else { throw GenerationError.emptyPrompt }
        guard stop.maxTokens >= 1 else { throw GenerationError.maxTokens(stop.maxTokens) }
        // The last token is never fed back, so it needs no position.
        let (length, overflow) = prompt.count.addingReportingOverflow(Int(stop.maxTokens) - 1)
        let limit = engine.model.configuration.maxPositions
        guard !overflow, length <= limit else {
            throw GenerationError.tooLong(prompt: prompt.count, maxTokens: stop.maxTokens, limit: limit)
        }
        let (kv, table) = try cache(for: length)
        var logits = try prefill(prompt, kv: kv, table: table, chunkSize: chunkSize)
        var answer = Answer(tokens: [], finishReason: .stop)
        while true {
            let index = Int32(answer.tokens.count)
            let token = try sampler.sample(
                logits: logits[0], parameters: parameters, prompt: prompt, generated: answer.tokens,
                mask: try mask?(answer.tokens),
                choice: choice ?? parameters.choice, index: UInt32(index), masked: stop.maskedTokens(at: index))
            let score = try top.map { try sampler.logprobs(of: token, logits: logits[0], top: $0) }
            answer.tokens.append(token)
            if let score { answer.logprobs.append(score) }
            guard try onToken(ScoredToken(token, score), index) else { return answer }
            if let reason = stop.finishReason(after: token, at: index) {
                answer.finishReason = reason
                return answer
            }
            var batch = TokenBatch()
            batch.append(CollectionOfOne(token), at: Int32(prompt.count) + index, blockTable: table)
            logits = try engine.forward(batch, kv: kv, threads: threads)
        }
    }

    /// The tokens of a prompt, each but the first with its log-probability after those before it, and that of the `top` most
    /// probable tokens in its place.
    /// - Throws: ``GenerationError``, ``ForwardError``, ``SamplingError``, `KernelError`.
    public func scores(of prompt: [TokenID], top: Int, chunkSize: Int = 512) throws -> [ScoredToken] {
        precondition(chunkSize >= 1, "chunks of \(chunkSize) tokens")
        guard !prompt.isEmpty else { throw GenerationError.emptyPrompt }
        let limit = engine.model.configuration.maxPositions
        guard prompt.count <= limit else { throw GenerationError.tooLong(prompt: prompt.count, maxTokens: 0, limit: limit) }
        let (kv, table) = try cache(for: prompt.count)
        var scored = [ScoredToken(prompt[0])]
        for start in stride(from: 0, to: prompt.count, by: chunkSize) {
            let end = min(start + chunkSize, prompt.count)
            var batch = TokenBatch()
            // The last token of all has nothing to score behind it.
            let wanted = 0..<(end == prompt.count ? end - 1 - start : end - start)
            batch.append(
                prompt[start..<end], at: Int32(start), blockTable: table, logits: .within(wanted, last: false))
            try engine.forward(batch, kv: kv, crew: { threads }, logitSlice: Self.scoringSlice) { logits, rows in
                for row in rows {
                    let token = prompt[start + row + 1]
                    scored.append(
                        ScoredToken(token, try sampler.logprobs(of: token, logits: logits[row - rows.lowerBound], top: top)))
                }
            }
        }
        return scored
    }

    private func cache(for length: Int) throws -> (KVCache, table: [Int32]) {
        let blocks = (length + blockSize - 1) / blockSize
        let kv = try KVCache(layout: engine.model.kvLayout(blockSize: blockSize, format: kvFormat),
                             layerCount: engine.model.configuration.layerCount, blockCount: blocks)
        return (kv, (0..<Int32(blocks)).map { $0 })
    }

    private func prefill(_ prompt: [TokenID], kv: KVCache, table: [Int32], chunkSize: Int) throws -> Logits {
        var start = 0
        while true {
            let end = min(start + chunkSize, prompt.count)
            var batch = TokenBatch()
            batch.append(prompt[start..<end], at: Int32(start), blockTable: table, logits: end == prompt.count ? .last : .none)
            let logits = try engine.forward(batch, kv: kv, threads: threads)
            if end == prompt.count { return logits }
            start = end
        }
    }
}

public enum GenerationError: Error, Sendable, Hashable, CustomStringConvertible {
    case emptyPrompt
    case maxTokens(Int32)
    case tooLong(prompt: Int, maxTokens: Int32, limit: Int)

    public var description: String {
        switch self {
        case .emptyPrompt: "the prompt has no tokens"
        case .maxTokens(let count): "max_tokens = \(count), expected at least 1"
        case .tooLong(let prompt, let maxTokens, let limit):
            "\(prompt) prompt tokens and max_tokens = \(maxTokens) exceed the model's \(limit) positions"
        }
    }
}
