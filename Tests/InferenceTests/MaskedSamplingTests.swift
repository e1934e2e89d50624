import Generation
import Grammar
@testable import Inference
import Kernels
import Testing

/// A mask is the same as minus infinity in the logits, to the bit.
@Suite struct MaskedSamplingTests {
    private static let vocabulary = 1000

    private static let parameters: [SamplingParameters] = [
        .greedy, SamplingParameters(temperature: 0.8), SamplingParameters(topK: 7), SamplingParameters(topP: 0.9), SamplingParameters(minP: 0.05),
        SamplingParameters(temperature: 1.3, topP: 0.8, topK: 40, minP: 0.01), SamplingParameters(temperature: 0, repetitionPenalty: 1.5),
        SamplingParameters(topP: 0.95, repetitionPenalty: 1.2, presencePenalty: 0.5, frequencyPenalty: 0.3),
    ]

    private func mask(_ random: inout SplitMix64, share: UInt64, size: Int = vocabulary) -> TokenMask {
        var mask = TokenMask(vocabularySize: size)
        for id in 0..<size where random.next() % 100 < share { mask.insert(TokenID(id)) }
        return mask
    }

    @Test(arguments: parameters.indices)
    func equalsLogitsWithoutTheOthers(index: Int) throws {
        let kernels = try KernelSet.select(environment: [:])
        var masked = Sampler(kernels: kernels), reference = Sampler(kernels: kernels), random = SplitMix64(state: UInt64(index))
        for round in 0..<150 {
            // Some logits are equal, and the model has a few more than the tokenizer.
            let logits = (0..<Self.vocabulary + 24).map { _ in Float(Int(random.next() % 400) - 200) / 20 }
            let mask = mask(&random, share: [0, 1, 30, 100][round % 4])
            let rest = logits.enumerated().map { mask.contains(TokenID($0)) ? $1 : -.infinity }
            var p = Self.parameters[index]
            p.seed = random.next()
            let seen = (0..<20).map { _ in TokenID(random.next() % UInt64(Self.vocabulary)) }
            let ours = Result { () throws(SamplingError) in try Self.sample(&masked, logits, p, seen, mask, UInt32(round)) }
            guard !mask.isEmpty else {
                #expect(ours == .failure(.emptyMask))
                continue
            }
            let theirs = Result { () throws(SamplingError) in try Self.sample(&reference, rest, p, seen, nil, UInt32(round)) }
            #expect(ours == theirs, "round \(round)")
            if case .success(let token) = ours { #expect(mask.contains(token)) } else { Issue.record("\(ours)") }
        }
    }

    private static func sample(
        _ sampler: inout Sampler, _ logits: [Float], _ p: SamplingParameters, _ seen: [TokenID], _ mask: TokenMask?, _ index: UInt32
    ) throws(SamplingError) -> TokenID {
        try logits.withUnsafeBufferPointer { (logits) throws(SamplingError) in
            try sampler.sample(
                logits: logits, parameters: p, prompt: seen, generated: Array(seen.prefix(5)), mask: mask, choice: 0, index: index)
        }
    }

    @Test func whatTheMaskLeavesOutNeedNotBeANumber() throws {
        var sampler = Sampler(kernels: try KernelSet.select(environment: [:])), mask = TokenMask(vocabularySize: 4)
        mask.insert(2)
        #expect(try Self.sample(&sampler, [.nan, .infinity, 1, .nan], .greedy, [], mask, 0) == 2)
        #expect(throws: SamplingError.notANumber(token: 2)) { try Self.sample(&sampler, [1, 1, .nan, 1], .greedy, [], mask, 0) }
        #expect(throws: SamplingError.nothingToChoose) { try Self.sample(&sampler, [1, 1, -.infinity, 1], .greedy, [], mask, 0) }
        mask.insert(3)
        #expect(throws: SamplingError.notANumber(token: 3)) { try Self.sample(&sampler, [1, 1, 1, .nan], .greedy, [], mask, 0) }
        // Tokens that the model has no logits for.
        var beyond = TokenMask(vocabularySize: 200)
        beyond.insert(150)
        #expect(throws: SamplingError.emptyMask) { try Self.sample(&sampler, [1, 1, 1, 1], .greedy, [], beyond, 0) }
    }

    @Test func aBatchMayHaveMasksInSomeRows() throws {
        let kernels = try KernelSet.select(environment: [:]), team = try ThreadTeam(maxThreads: 2), count = 6
        let scratch = try ScratchRows(columns: Self.vocabulary, capacity: count), rows = try scratch.rows(count)
        var random = SplitMix64(state: 9)
        for row in 0..<count { for id in 0..<Self.vocabulary { rows[row][id] = Float(random.next() % 1000) / 100 } }
        let wanted = (0..<count).map { row in
            let mask: TokenMask? = row % 2 == 0 ? nil : row == 3 ? TokenMask(vocabularySize: Self.vocabulary) : mask(&random, share: 20)
            return BatchSampler.Row(parameters: SamplingParameters(topP: 0.9, seed: UInt64(row)), mask: mask, index: UInt32(row))
        }
        let logits = Logits(rows: rows, count: count)
        var single = Sampler(kernels: kernels)
        let expected = wanted.enumerated().map { i, row in
            Result { () throws(SamplingError) in
                try single.sample(logits: logits[i], parameters: row.parameters, prompt: [], generated: [], mask: row.mask, choice: 0, index: row.index)
            }
        }
        #expect(expected[3] == .failure(.emptyMask))
        let batch = BatchSampler(kernels: kernels, team: team)
        for threads in [1, 2] { #expect(batch.sample(logits, rows: wanted, threads: threads) == expected) }
    }
}
