import Generation
@testable import Inference
@testable import Kernels
import Testing

@Suite struct EngineTests {
    private func batch(_ token: TokenID = 1, at position: Int32 = 0, table: [Int32] = [0]) -> TokenBatch {
        var batch = TokenBatch()
        batch.append([token], at: position, blockTable: table)
        return batch
    }

    @Test func aBatchThatDoesNotFitIsRefusedWithItsRow() throws {
        let engine = try Oracle.engine("llama2", format: .float32), kv = try engine.cache(blocks: 2)
        let refused: [(TokenBatch, ForwardError)] = [
            (batch(307), .token(307, row: 0)), (batch(-1), .token(-1, row: 0)),
            (batch(at: 256, table: [Int32](repeating: 0, count: 17)), .position(256, row: 0)),
            (batch(at: -1), .position(-1, row: 0)), (batch(at: 16), .blockMissing(position: 16, row: 0)),
            (batch(table: [2]), .block(2, sequence: 0)), (batch(table: [-1]), .block(-1, sequence: 0)),
        ]
        for (batch, error) in refused {
            #expect(throws: error) { try engine.forward(batch, kv: kv, threads: 1) }
        }
        let other = try Oracle.engine("qwen3", format: .float32).cache(blocks: 2)
        #expect(throws: ForwardError.cacheOfAnotherModel) { try engine.forward(batch(), kv: other, threads: 1) }
    }

    @Test func anEmptyBatchAndABatchWithoutLogitsAreFine() throws {
        let engine = try Oracle.engine("llama2", format: .float32), kv = try engine.cache(blocks: 2)
        #expect(try engine.forward(TokenBatch(), kv: kv, threads: 1).count == 0)
        var layers = 0, silent = TokenBatch()
        silent.append([1, 2, 3], at: 0, blockTable: [1], logits: .none)
        #expect(try engine.forward(silent, kv: kv, threads: 2) { _ in layers += 1 }.count == 0)
        #expect(layers == engine.model.configuration.layerCount)
    }

    @Test func identityTellsFormatsAndModelsApart() throws {
        let a = try Oracle.engine("llama2", format: .float32).identity(threads: 1)
        let again = try Oracle.engine("llama2", format: .float32).identity(threads: 2)
        let rounded = try Oracle.engine("llama2", format: .bfloat16).identity(threads: 1)
        let cache = try Oracle.engine("llama2", format: .float32).identity(kvFormat: .bfloat16, threads: 1)
        let quantized = try Oracle.engine("llama2", format: .int8).identity(threads: 1)
        let small = try Oracle.engine("llama2", format: .float32).identity(kvFormat: .int8, threads: 1)
        let other = try Oracle.engine("qwen2", format: .float32).identity(threads: 1)
        #expect(a == again)
        #expect(a.modelHash == rounded.modelHash && a.modelHash != other.modelHash && a.modelHash.count == 64)
        #expect(rounded.weightFormat == "bfloat16" && rounded.kvFormat == "bfloat16" && a.weightFormat == "float32")
        #expect(quantized.weightFormat == "int8" && quantized.kvFormat == "bfloat16" && quantized.kernelFamily == "int8-g64")
        #expect(small.kvFormat == "int8")
        #expect(Set([a, rounded, quantized, cache, small, other].map(\.canary)).count == 6)
    }

    @Test(arguments: [WeightFormat.bfloat16, .int8])
    func localGenerationDoesNotDependOnChunksThreadsOrBlocks(format: WeightFormat) throws {
        let engine = try Oracle.engine("qwen3", format: format)
        let prompt = (0..<90).map { TokenID($0 * 37 % 300) }, stop = StopConditions(maxTokens: 24)
        let sampled = SamplingParameters(temperature: 0.8, topP: 0.95, topK: 50, repetitionPenalty: 1.1, seed: 7)
        for parameters in [SamplingParameters.greedy, sampled] {
            let reference = try LocalGeneration(engine: engine, threads: 1).generate(prompt: prompt, parameters: parameters, stop: stop)
            #expect(reference.tokens.count == 24)
            for (chunk, threads, blockSize) in [(1, 2, 16), (7, 1, 32), (64, 2, 256)] {
                let answer = try LocalGeneration(engine: engine, threads: threads, blockSize: blockSize)
                    .generate(prompt: prompt, parameters: parameters, stop: stop, chunkSize: chunk)
                #expect(answer == reference, "chunks of \(chunk)")
            }
        }
    }

    /// After a crash another worker continues from prompt + tokens emitted so far.
    @Test func aReplayContinuesExactly() throws {
        let engine = try Oracle.engine("llama3", format: .bfloat16)
        let prompt = (0..<50).map { TokenID($0 * 13 % 300) }
        let parameters = SamplingParameters(temperature: 1.2, topP: 0.9, repetitionPenalty: 1.2, presencePenalty: 0.4,
                                            frequencyPenalty: 0.3, seed: 99)
        let whole = try LocalGeneration(engine: engine, threads: 2)
            .generate(prompt: prompt, parameters: parameters, stop: StopConditions(maxTokens: 30)).tokens
        for cut in [1, 11, 29] {
            var sampler = Sampler(kernels: engine.model.kernels), batch = TokenBatch()
            batch.append(prompt + whole.prefix(cut), at: 0, blockTable: (0..<6).map { $0 })
            let logits = try engine.forward(batch, kv: engine.cache(blocks: 6), threads: 1)
            let next = try sampler.sample(logits: logits[0], parameters: parameters, prompt: prompt,
                                          generated: Array(whole.prefix(cut)), choice: 0, index: UInt32(cut))
            #expect(next == whole[cut])
        }
    }

    @Test func localGenerationStopsAndRefuses() throws {
        let generation = LocalGeneration(engine: try Oracle.engine("llama2", format: .float32), threads: 1)
        let free = try generation.generate(prompt: [3], parameters: .greedy, stop: StopConditions(maxTokens: 8))
        let end = free.tokens[2]
        let stopped = try generation.generate(prompt: [3], parameters: .greedy, stop: StopConditions(maxTokens: 8, endTokens: [end]))
        #expect(stopped.finishReason == .stop && stopped.tokens.last == end && stopped.tokens.count <= 3)
        #expect(throws: GenerationError.emptyPrompt) {
            try generation.generate(prompt: [], parameters: .greedy, stop: StopConditions(maxTokens: 1))
        }
        #expect(throws: GenerationError.tooLong(prompt: 250, maxTokens: 8, limit: 256)) {
            try generation.generate(prompt: [TokenID](repeating: 1, count: 250), parameters: .greedy, stop: StopConditions(maxTokens: 8))
        }
        #expect(throws: ForwardError.token(9999, row: 0)) {
            try generation.generate(prompt: [9999], parameters: .greedy, stop: StopConditions(maxTokens: 1))
        }
    }

    /// A difference in one kernel that nothing else would tell: one bit of one packed weight stands for it.
    @Test(arguments: [WeightFormat.float32, .bfloat16, .int8])
    func theCanaryCatchesAPlantedDifference(format: WeightFormat) throws {
        let engine = try Oracle.engine("llama2", format: format)
        let before = try engine.identity(threads: 1)
        #expect(try engine.identity(threads: 2) == before)
        let byte = engine.model.weights.layers[0].down.base.assumingMemoryBound(to: UInt8.self) + (format == .float32 ? 2 : 0)
        byte.pointee ^= 0x10
        let after = try engine.identity(threads: 1)
        #expect(after.canary != before.canary)
        #expect((after.modelHash, after.weightFormat, after.kernelFamily) == (before.modelHash, before.weightFormat, before.kernelFamily))
        byte.pointee ^= 0x10
        #expect(try engine.identity(threads: 1) == before)
    }
}
