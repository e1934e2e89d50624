import Foundation
import Generation
@testable import Inference
import Kernels
import Testing

@Suite struct SamplerTests {
    private func sample(
        _ logits: [Float], _ parameters: SamplingParameters, prompt: [TokenID] = [], generated: [TokenID] = [],
        choice: UInt32 = 0, index: UInt32 = 0
    ) throws -> TokenID {
        var sampler = Sampler(kernels: try KernelSet.select(environment: [:]))
        return try logits.withUnsafeBufferPointer {
            try sampler.sample(logits: $0, parameters: parameters, prompt: prompt, generated: generated, choice: choice, index: index)
        }
    }

    /// How often each token is chosen over many indexes.
    private func counts(_ logits: [Float], _ parameters: SamplingParameters, draws: UInt32 = 20_000) throws -> [Int] {
        var sampler = Sampler(kernels: try KernelSet.select(environment: [:])), counts = [Int](repeating: 0, count: logits.count)
        for index in 0..<draws {
            counts[try Int(logits.withUnsafeBufferPointer {
                try sampler.sample(logits: $0, parameters: parameters, prompt: [], generated: [], choice: 0, index: index)
            })] += 1
        }
        return counts
    }

    /// Known answers of Philox4x32-10 (Random123's kat_vectors).
    @Test func philoxHasItsKnownAnswers() {
        #expect(Philox(key: 0)(SIMD4(0, 0, 0, 0)) == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
        let ones = UInt32.max
        #expect(Philox(key: .max)(SIMD4(ones, ones, ones, ones)) == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
        #expect(Philox(key: 0x299f_31d0_a409_3822)(SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344))
            == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
    }

    @Test func greedyTakesTheLowestOfEqualIds() throws {
        #expect(try sample([1, 5, 5, 2], .greedy) == 1)
        #expect(try sample([-.infinity, -3, -.infinity], .greedy) == 1)
    }

    @Test func frequenciesFollowTheSoftmax() throws {
        let logits: [Float] = [1, 2, 0, 3, -1], temperature: Float = 0.7
        let counts = try counts(logits, SamplingParameters(temperature: temperature, seed: 3))
        let weights = logits.map { exp(Double($0 / temperature)) }, total = weights.reduce(0, +)
        for (count, weight) in zip(counts, weights) { #expect(abs(Double(count) / 20_000 - weight / total) < 0.012) }
    }

    @Test func topKTopPAndMinPCutWhatTheyShould() throws {
        let probabilities = [0.05, 0.4, 0.1, 0.3, 0.15], logits = probabilities.map { Float(log($0)) }
        func kept(_ parameters: SamplingParameters) throws -> [Int] {
            try counts(logits, parameters, draws: 3000).enumerated().filter { $0.element > 0 }.map(\.offset)
        }
        #expect(try kept(SamplingParameters(topK: 2)) == [1, 3])
        #expect(try kept(SamplingParameters(topP: 0.6)) == [1, 3])
        #expect(try kept(SamplingParameters(topP: 0.75)) == [1, 3, 4])
        // Of 0.4, 0.3, 0.15 that top-k keeps, 0.8 is reached by the first two.
        #expect(try kept(SamplingParameters(topP: 0.8, topK: 3)) == [1, 3])
        #expect(try kept(SamplingParameters(minP: 0.3)) == [1, 3, 4])
        #expect(try kept(SamplingParameters(topK: 4, minP: 0.3)) == [1, 3, 4])
        #expect(try kept(SamplingParameters(topK: 1)) == [1])
    }

    @Test func tiesAreCutByTheId() throws {
        let logits = [Float](repeating: 1, count: 10)
        let counts = try counts(logits, SamplingParameters(topK: 3), draws: 2000)
        #expect(counts.prefix(3).allSatisfy { $0 > 500 } && counts.dropFirst(3).allSatisfy { $0 == 0 })
    }

    /// The quick selection of candidates is that of a full sort.
    @Test func aLargeVocabularyIsCutLikeASmallOne() throws {
        var random = SplitMix64(state: 8)
        let logits = (0..<5000).map { _ in Float(random.next() % 100_000) / 5000 }
        let order = logits.indices.sorted { (-logits[$0], $0) < (-logits[$1], $1) }
        for parameters in [SamplingParameters(topK: 700, seed: 1), SamplingParameters(topP: 0.9, seed: 2),
                           SamplingParameters(temperature: 3, topP: 0.999, seed: 3), SamplingParameters(topP: 0.5, topK: 3000, seed: 4)] {
            let weights = order.map { Double(Elementary.exp((logits[$0] - logits[order[0]]) / parameters.temperature)) }
            var kept = parameters.topK > 0 ? Int(parameters.topK) : order.count
            let target = Double(parameters.topP) * (parameters.topK > 0 ? weights.prefix(kept).reduce(0, +) : weights.reduce(0, +))
            var reached = 0.0
            if parameters.topP < 1 { kept = (weights.firstIndex { reached += $0; return reached >= target } ?? kept - 1) + 1 }
            for index in 0..<20 {
                let u = Philox(key: parameters.seed).uniform(choice: 0, index: UInt32(index), draw: 0)
                let share = u * weights.prefix(kept).reduce(0, +)
                var sum = 0.0
                let expected = order[weights.firstIndex { sum += $0; return sum > share } ?? 0]
                #expect(try sample(logits, parameters, index: UInt32(index)) == TokenID(expected))
            }
        }
    }

    /// In the order of ids, over more blocks of sums than one: the draw falls where the whole sum says, up to rounding.
    @Test func aLargeVocabularyIsDrawnInOrder() throws {
        var random = SplitMix64(state: 4)
        let logits = (0..<5000).map { _ in Float(random.next() % 100_000) / 20_000 }
        let largest = logits.max() ?? 0
        for minP: Float in [0, 0.05, 1] {
            let weights = logits.map { Double(Elementary.exp($0 - largest)) }.map { $0 >= Double(minP) ? $0 : 0 }
            let total = weights.reduce(0, +)
            for index: UInt32 in 0..<200 {
                let parameters = SamplingParameters(minP: minP, seed: 6)
                let token = Int(try sample(logits, parameters, index: index))
                let share = Philox(key: 6).uniform(choice: 0, index: index, draw: 0) * total
                let before = weights[..<token].reduce(0, +)
                #expect(weights[token] > 0)
                #expect(before <= share + 1e-9 * total && share <= before + weights[token] + 1e-9 * total)
            }
        }
    }

    /// Rows of a batch are sampled as each alone would be, on any number of threads.
    @Test func aBatchIsSampledRowByRow() throws {
        let kernels = try KernelSet.select(environment: [:]), team = try ThreadTeam(maxThreads: 3)
        let vocabulary = 3000, count = 9
        let scratch = try ScratchRows(columns: vocabulary, capacity: count), rows = try scratch.rows(count)
        var random = SplitMix64(state: 2)
        for row in 0..<count {
            for id in 0..<vocabulary { rows[row][id] = row == 4 ? .nan : Float(random.next() % 1000) / 100 }
        }
        let wanted = (0..<count).map { row in
            var parameters = [SamplingParameters.greedy, SamplingParameters(topP: 0.9), SamplingParameters(topK: 5), SamplingParameters()][row % 4]
            parameters.seed = UInt64(row)
            parameters.repetitionPenalty = row % 2 == 0 ? 1.3 : 1
            return BatchSampler.Row(parameters: parameters, prompt: [1, 2, 3], generated: [7, 7], index: UInt32(row))
        }
        var single = Sampler(kernels: kernels)
        let logits = Logits(rows: rows, count: count)
        let expected = wanted.enumerated().map { i, row in
            Result { () throws(SamplingError) in
                try single.sample(logits: logits[i], parameters: row.parameters, prompt: row.prompt, generated: row.generated,
                                  choice: row.choice, index: row.index)
            }
        }
        #expect(expected[4] == .failure(.notANumber(token: 0)))
        let batch = BatchSampler(kernels: kernels, team: team)
        for threads in [1, 2, 3, 1] { #expect(batch.sample(logits, rows: wanted, threads: threads) == expected) }
    }

    @Test func seedChoiceAndIndexEachChangeTheDraw() throws {
        let logits = [Float](repeating: 0, count: 1000)
        let base = try sample(logits, SamplingParameters(seed: 1))
        #expect(try sample(logits, SamplingParameters(seed: 1)) == base)
        #expect(try sample(logits, SamplingParameters(seed: 2)) != base)
        #expect(try sample(logits, SamplingParameters(seed: 1 | 1 << 40)) != base)
        #expect(try sample(logits, SamplingParameters(seed: 1), choice: 1) != base)
        #expect(try sample(logits, SamplingParameters(seed: 1), index: 1) != base)
    }

    @Test func penaltiesCountWhatTheyShould() throws {
        var parameters = SamplingParameters.greedy
        parameters.repetitionPenalty = 2
        #expect(try sample([3, 2, 1], parameters, prompt: [0]) == 1, "prompt counts: 3 / 2 < 2")
        #expect(try sample([3, 2, 1], parameters, prompt: [0, 0], generated: [0, 1]) == 0, "once each: 1.5, 1, 1")
        #expect(try sample([-1, -1.5, -3], parameters, generated: [0]) == 1, "a negative logit is multiplied")
        parameters = .greedy
        parameters.presencePenalty = 1.5
        #expect(try sample([3, 2, 1], parameters, prompt: [0]) == 0, "the prompt does not count")
        #expect(try sample([3, 2, 1], parameters, generated: [0, 0]) == 1)
        parameters.presencePenalty = 0
        parameters.frequencyPenalty = 0.6
        #expect(try sample([3, 2, 1], parameters, generated: [0]) == 0)
        #expect(try sample([3, 2, 1], parameters, generated: [0, 0]) == 1)
        #expect(try sample([3, 2, 1], parameters, prompt: [5000, -3], generated: [5000]) == 0, "foreign ids are passed over")
    }

    @Test func nonsenseIsAnError() {
        for parameters in [SamplingParameters.greedy, SamplingParameters(topK: 2)] {
            #expect(throws: SamplingError.notANumber(token: 1)) { try sample([1, .nan, 2], parameters) }
            #expect(throws: SamplingError.notANumber(token: 2)) { try sample([1, 0, .infinity], parameters) }
            #expect(throws: SamplingError.nothingToChoose) { try sample([-.infinity], parameters) }
        }
        let bad: [SamplingParameters] = [
            .init(temperature: -1), .init(temperature: .nan), .init(topP: 0), .init(topP: 1.1), .init(topK: -1), .init(minP: 2),
            .init(repetitionPenalty: 0), .init(presencePenalty: .infinity), .init(frequencyPenalty: .nan),
        ]
        for parameters in bad { #expect(throws: SamplingError.self) { try sample([1, 2], parameters) } }
    }
}
