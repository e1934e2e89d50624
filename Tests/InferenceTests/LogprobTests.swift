import Foundation
import Generation
import Grammar
@testable import Inference
import Kernels
import Testing

/// Log-probabilities, biases and masks.
@Suite struct LogprobTests {
    private func logprobs(_ logits: [Float], of token: TokenID, top: Int) throws -> TokenLogprobs {
        var sampler = Sampler(kernels: try KernelSet.select(environment: [:]))
        return try logits.withUnsafeBufferPointer { try sampler.logprobs(of: token, logits: $0, top: top) }
    }

    private func random(_ count: Int, seed: UInt64) -> [Float] {
        var random = SplitMix64(state: seed)
        return (0..<count).map { _ in Float(random.next() % 100_000) / 4000 - 12 }
    }

    @Test(arguments: [1, 2, 500, 5000]) func theyAreTheLogSoftmaxOfTheLogits(vocabulary: Int) throws {
        let logits = random(vocabulary, seed: UInt64(vocabulary))
        let largest = Double(logits.max() ?? 0)
        let sum = log(logits.reduce(0.0) { $0 + exp(Double($1) - largest) }) + largest
        let found = try logprobs(logits, of: TokenID(vocabulary / 2), top: min(20, vocabulary))
        #expect(abs(Double(found.logprob) - (Double(logits[vocabulary / 2]) - sum)) < 1e-5)
        for entry in found.top { #expect(abs(Double(entry.logprob) - (Double(logits[Int(entry.token)]) - sum)) < 1e-5) }
        let expected = logits.indices.sorted { (logits[$0], $1) > (logits[$1], $0) }.prefix(20)
        #expect(found.top.map { Int($0.token) } == Array(expected))
    }

    @Test func equalsAreInTheOrderOfTheirIds() throws {
        let found = try logprobs([1, 3, 2, 3, 2, 3], of: 0, top: 4)
        #expect(found.top.map(\.token) == [1, 3, 5, 2])
        #expect(try logprobs([0, 0], of: 1, top: 0) == TokenLogprobs(logprob: -0.6931472))
        #expect(try logprobs([4, -.infinity], of: 1, top: 2).logprob == -.infinity)
        #expect(try logprobs([4, -.infinity], of: 0, top: 1) == TokenLogprobs(logprob: 0, top: [TokenLogprob(token: 0, logprob: 0)]))
    }

    @Test func logitsThatAreNoNumbersHaveNone() throws {
        #expect(throws: SamplingError.notANumber(token: 1)) { try logprobs([0, .nan], of: 0, top: 1) }
        #expect(throws: SamplingError.nothingToChoose) { try logprobs([-.infinity], of: 0, top: 1) }
    }

    @Test func everyInstructionSetGivesTheSameBits() throws {
        let logits = random(3000, seed: 4)
        let expected = try logprobs(logits, of: 7, top: 20)
        for name in ["scalar", "avx2", "avx2vnni", "avx512f", "avx512vnni", "avx512bf16", "amxbf16"] {
            guard let kernels = try? KernelSet.select(environment: ["BATON_KERNELS": name]) else { continue }
            var sampler = Sampler(kernels: kernels)
            #expect(try logits.withUnsafeBufferPointer { try sampler.logprobs(of: 7, logits: $0, top: 20) } == expected, "\(name)")
        }
    }

    // MARK: Prompts

    @Test(arguments: Oracle.names) func aPromptScoresAsInTransformers(name: String) throws {
        let generation = LocalGeneration(engine: try Oracle.engine(name, format: .float32), threads: 2)
        for prompt in try Oracle.expected(name) {
            // The fixture has the log-softmax of the last prompt position: what follows the prompt.
            let whole = prompt.prompt + prompt.continuation.prefix(1)
            let scored = try generation.scores(of: whole, top: 5)
            #expect(scored.map(\.token) == whole && scored[0].logprobs == nil)
            let last = try #require(scored.last?.logprobs)
            #expect(abs(last.logprob - prompt.logprobs[Int(whole[whole.count - 1])]) < 1e-3)
            for entry in last.top { #expect(abs(entry.logprob - prompt.logprobs[Int(entry.token)]) < 1e-3) }
        }
    }

    @Test(arguments: [WeightFormat.float32, .bfloat16, .int8])
    func scoresDoNotDependOnChunksSlicesOrThreads(format: WeightFormat) throws {
        let engine = try Oracle.engine("qwen3", format: format)
        let prompt = (0..<90).map { TokenID($0 * 37 % 300) }
        let expected = try LocalGeneration(engine: engine, threads: 1).scores(of: prompt, top: 3)
        #expect(expected.count == 90)
        for (chunk, threads, blockSize) in [(1, 2, 16), (33, 1, 32), (64, 2, 256)] {
            let scored = try LocalGeneration(engine: engine, threads: threads, blockSize: blockSize)
                .scores(of: prompt, top: 3, chunkSize: chunk)
            #expect(scored == expected, "chunks of \(chunk)")
        }
        for slice in [1, 7, 64, 1000] {
            var batch = TokenBatch(), found: [TokenLogprobs] = [], sampler = Sampler(kernels: engine.model.kernels)
            batch.append(prompt, at: 0, blockTable: (0..<6).map { $0 }, logits: .all)
            try engine.forward(batch, kv: engine.cache(blocks: 6), crew: { 2 }, logitSlice: slice) { logits, rows in
                for row in rows where row + 1 < prompt.count {
                    found.append(try sampler.logprobs(of: prompt[row + 1], logits: logits[row - rows.lowerBound], top: 3))
                }
            }
            #expect(found == expected.dropFirst().compactMap(\.logprobs), "slices of \(slice)")
        }
    }

    @Test func whatATokenScoredWhenSampledItScoresInAPrompt() throws {
        let generation = LocalGeneration(engine: try Oracle.engine("llama3", format: .bfloat16), threads: 2)
        let prompt = (0..<40).map { TokenID($0 * 13 % 300) }
        // Penalties and temperature change what is sampled, not what is told of it.
        let parameters = SamplingParameters(temperature: 1.3, topK: 30, repetitionPenalty: 1.3, seed: 5)
        let answer = try generation.generate(
            prompt: prompt, parameters: parameters, stop: StopConditions(maxTokens: 20), logprobs: 4)
        let scored = try generation.scores(of: prompt + answer.tokens, top: 4)
        #expect(answer.logprobs == scored.suffix(20).compactMap(\.logprobs))
    }

    // MARK: What may be sampled

    @Test func biasesAreAddedBeforePenalties() throws {
        func sample(_ logits: [Float], _ parameters: SamplingParameters, generated: [TokenID] = [], masked: [TokenID] = []) throws -> TokenID {
            var sampler = Sampler(kernels: try KernelSet.select(environment: [:]))
            return try logits.withUnsafeBufferPointer {
                try sampler.sample(
                    logits: $0, parameters: parameters, prompt: [], generated: generated, choice: 0, index: 0, masked: masked)
            }
        }
        var greedy = SamplingParameters.greedy
        greedy.logitBias = [TokenBias(token: 1, bias: 3), TokenBias(token: 99, bias: 100)]
        #expect(try sample([2, 0, 1], greedy) == 1)
        greedy.repetitionPenalty = 2
        // (0 + 3) / 2 is less than 2; bias after the penalty would be 3.
        #expect(try sample([2, 0, 1], greedy, generated: [1]) == 0)
        #expect(try sample([2, 0, 1], .greedy, masked: [0, 99, -1]) == 2)
        #expect(throws: SamplingError.nothingToChoose) { try sample([2, 0], .greedy, masked: [0, 1]) }
        greedy.logitBias = [TokenBias(token: 0, bias: 100)]
        #expect(try sample([2, 0, 1], greedy, masked: [0]) == 2)
    }

    @Test func aMaskAndMaskedTokensBothCount() throws {
        var mask = TokenMask(vocabularySize: 3), sampler = Sampler(kernels: try KernelSet.select(environment: [:]))
        mask.insert(0)
        mask.insert(2)
        func sample(_ masked: [TokenID]) throws -> TokenID {
            try ([5, 9, 1] as [Float]).withUnsafeBufferPointer {
                try sampler.sample(
                    logits: $0, parameters: .greedy, prompt: [], generated: [], mask: mask, choice: 0, index: 0, masked: masked)
            }
        }
        #expect(try sample([]) == 0)
        #expect(try sample([0]) == 2)
        #expect(throws: SamplingError.nothingToChoose) { try sample([0, 2]) }
    }

    @Test func endTokensAreNotSampledBeforeTheLeastLength() throws {
        let generation = LocalGeneration(engine: try Oracle.engine("llama2", format: .float32), threads: 1)
        let free = try generation.generate(prompt: [3], parameters: .greedy, stop: StopConditions(maxTokens: 8)).tokens
        let end = free[2]
        let held = try generation.generate(
            prompt: [3], parameters: .greedy, stop: StopConditions(maxTokens: 12, minTokens: 6, endTokens: [end]))
        #expect(held.tokens.count >= 6 && !held.tokens.prefix(6).contains(end))
        #expect(held.tokens.prefix(2) == free.prefix(2))
    }

    @Test func workOnTheSameRowSharesItsLogits() throws {
        let kernels = try KernelSet.select(environment: [:]), team = try ThreadTeam(maxThreads: 2)
        let values = random(800, seed: 6)
        let scratch = try ScratchRows(columns: 800, capacity: 2), rows = try scratch.rows(2)
        for id in 0..<800 {
            rows[0][id] = values[id]
            rows[1][id] = values[799 - id]
        }
        let logits = Logits(rows: rows, count: 2), batch = BatchSampler(kernels: kernels, team: team)
        var work: [(row: Int, work: BatchSampler.Work)] = [(0, .score(5, top: 2))]
        for choice in 0..<8 as Range<UInt32> {
            work.append((1, .sample(BatchSampler.Row(parameters: SamplingParameters(seed: 3), choice: choice, index: 0, logprobs: 1))))
        }
        let one = batch.perform(work, on: logits, threads: 1), two = batch.perform(work, on: logits, threads: 2)
        #expect(one == two)
        #expect(try one[0].get().logprobs == logprobs(values, of: 5, top: 2))
        #expect(Set(try one.dropFirst().map { try $0.get().token }).count > 1)
    }
}
