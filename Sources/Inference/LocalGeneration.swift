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
    }

    /// Generates until `stop` says so.
    /// - Parameters:
    ///   - chunkSize: prompt tokens per prefill step; does not change the answer.
    ///   - onToken: called with each token as it is chosen; false ends the generation early (as `stop`).
    ///   - mask: the tokens that may follow an answer so far; `nil`: any.
    /// - Throws: ``GenerationError``, ``ForwardError``, ``SamplingError``, `KernelError`.
    public func generate(
        prompt: [TokenID], parameters: SamplingParameters, stop: StopConditions, choice: UInt32 = 0, chunkSize: Int = 512,
        onToken: (_ token: TokenID, _ index: Int32) throws -> Bool = { _, _ in true },
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
        let blocks = (length + blockSize - 1) / blockSize
        let kv = try KVCache(layout: engine.model.kvLayout(blockSize: blockSize, format: kvFormat),
                             layerCount: engine.model.configuration.layerCount, blockCount: blocks)
        let table = (0..<Int32(blocks)).map { $0 }
        var logits = try prefill(prompt, kv: kv, table: table, chunkSize: chunkSize)
        var tokens: [TokenID] = []
        while true {
            let index = Int32(tokens.count)
            let token = try sampler.sample(logits: logits[0], parameters: parameters, prompt: prompt, generated: tokens,
                                           mask: try mask?(tokens), choice: choice, index: UInt32(index))
            tokens.append(token)
            guard try onToken(token, index) else { return Answer(tokens: tokens, finishReason: .stop) }
            if let reason = stop.finishReason(after: token, at: index) { return Answer(tokens: tokens, finishReason: reason) }
            var batch = TokenBatch()
            batch.append(CollectionOfOne(token), at: Int32(prompt.count) + index, blockTable: table)
            logits = try engine.forward(batch, kv: kv, threads: threads)
        }
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
