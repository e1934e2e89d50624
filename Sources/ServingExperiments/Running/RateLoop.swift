import Generation
import Inference
import Kernels

/// One engine, made and used on one thread, that repeats the steps of one phase.
final class RateLoop {
    private let engine: Engine
    private let sampler: BatchSampler
    private let threads: Int
    private let kv: KVCache
    private let prompts: [[TokenID]]
    private let tables: [[Int32]]
    private let rowTables: [[Int32]]
    private var rowTokens: [TokenID]
    private let context: Int
    /// Where the next prompt step goes on.
    private var place = (prompt: 0, token: 0)

    private static let blockSize = 16
    /// Token rows of a step, as the workers' default.
    static let stepTokens = 512

    /// - Parameters:
    ///   - prompts: computed over and over, several in a step where they are short.
    ///   - rows: of the decode batch, each of which sees `context` keys.
    init(model: Model, kvFormat: KVFormat, team: ThreadTeam, prompts: [[TokenID]], rows: Int, context: Int) throws {
        engine = try Engine(model: model, team: team)
        sampler = BatchSampler(kernels: model.kernels, team: team)
        threads = team.maxThreads
        self.prompts = prompts
        self.context = context
        rowTokens = Array(repeating: 1, count: rows)
        var used: Int32 = 0
        func take(tokens: Int) -> [Int32] {
            let count = Int32((tokens + Self.blockSize - 1) / Self.blockSize)
            defer { used += count }
            return Array(used..<used + count)
        }
        tables = prompts.map { take(tokens: $0.count) }
        rowTables = (0..<rows).map { _ in take(tokens: context + 1) }
        kv = try KVCache(
            layout: model.kvLayout(blockSize: Self.blockSize, format: kvFormat), layerCount: model.configuration.layerCount,
            blockCount: Int(max(used, 1)))
        if rows > 0 { try fillRows() }
    }

    /// KV of a real prompt in every row's own blocks: memory that was never written would be read from the cache.
    private func fillRows() throws {
        let first = rowTables[0]
        for start in stride(from: 0, to: context, by: Self.stepTokens) {
            let end = min(start + Self.stepTokens, context)
            var batch = TokenBatch()
            batch.append(
                (start..<end).map { TokenID($0 % 997) }, at: Int32(start), blockTable: first, logits: .none)
            _ = try engine.forward(batch, kv: kv, threads: threads)
        }
        for table in rowTables.dropFirst() { for (source, target) in zip(first, table) { kv.copyBlock(source, to: target) } }
    }

    /// Steps until `seconds` have passed.
    /// - Parameters:
    ///   - chunk: prompt tokens of a step at most; 0: none.
    ///   - decode: whether the rows of the batch are in the steps.
    /// - Returns: prompt tokens and decoded tokens per second.
    func run(chunk: Int, decode: Bool, seconds: Double) throws -> EngineRates.SideBySide {
        let began = ContinuousClock.now
        var (prompt, decoded, spent) = (0, 0, 0.0)
        repeat {
            let step = try self.step(chunk: chunk, decode: decode)
            prompt += step.prompt
            decoded += step.decoded
            spent = began.duration(to: .now).seconds
        } while spent < seconds
        return EngineRates.SideBySide(prefill: Double(prompt) / spent, decode: Double(decoded) / spent)
    }

    private func step(chunk: Int, decode: Bool) throws -> (prompt: Int, decoded: Int) {
        var batch = TokenBatch()
        if decode {
            for (row, table) in rowTables.enumerated() {
                batch.append(CollectionOfOne(rowTokens[row]), at: Int32(context), blockTable: table)
            }
        }
        let decoded = batch.rowCount
        if chunk > 0 { fill(&batch, chunk) }
        let logits = try engine.forward(batch, kv: kv, threads: threads)
        let row = BatchSampler.Row(parameters: .greedy, index: 0)
        let sampled = sampler.sample(logits, rows: Array(repeating: row, count: logits.count), threads: threads)
        for index in 0..<decoded { rowTokens[index] = try sampled[index].get() }
        return (batch.rowCount - decoded, decoded)
    }

    /// Chunks of consecutive prompts, as many tokens as the step has room for.
    private func fill(_ batch: inout TokenBatch, _ chunk: Int) {
        var room = min(chunk, Self.stepTokens - batch.rowCount)
        while room > 0 {
            let prompt = prompts[place.prompt], count = min(room, prompt.count - place.token)
            let end = place.token + count, isWhole = end == prompt.count
            batch.append(
                prompt[place.token..<end], at: Int32(place.token), blockTable: tables[place.prompt], logits: isWhole ? .last : .none)
            room -= count
            place = isWhole ? ((place.prompt + 1) % prompts.count, 0) : (place.prompt, end)
            // A prompt may appear in a step once.
            if isWhole, place.prompt == 0 { return }
        }
    }
}
