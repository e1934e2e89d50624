import Generation
import Grammar
import Inference
import Kernels

/// What a mask adds to sampling a row: logits of a vocabulary, median over many draws.
public enum MaskedSamplingBenchmark {
    public struct Row: Encodable, Sendable {
        public var sampling: String
        public var unmaskedMicroseconds: Double
        /// With three quarters of the tokens, one in a hundred, and just one.
        public var manyMicroseconds: Double
        public var fewMicroseconds: Double
        public var forcedMicroseconds: Double

        enum CodingKeys: String, CodingKey {
            case sampling
            case unmaskedMicroseconds = "unmasked_microseconds"
            case manyMicroseconds = "many_microseconds"
            case fewMicroseconds = "few_microseconds"
            case forcedMicroseconds = "forced_microseconds"
        }
    }

    /// - Throws: `SamplingError`, of which there is no reason here.
    public static func measure(vocabulary: Int, kernels: KernelSet, draws: UInt32 = 101) throws(SamplingError) -> [Row] {
        var random = SeededDraws(state: 1), sampler = Sampler(kernels: kernels)
        let logits = (0..<vocabulary).map { _ in Float(random.below(2000)) / 100 - 10 }
        let masks = [75, 1].map { share in
            var mask = TokenMask(vocabularySize: vocabulary)
            for id in 0..<vocabulary where random.below(100) < share { mask.insert(TokenID(id)) }
            return mask
        }
        var forced = TokenMask(vocabularySize: vocabulary)
        forced.insert(TokenID(vocabulary / 2))
        var rows: [Row] = []
        for (name, parameters) in [("greedy", SamplingParameters.greedy), ("temperature 1", SamplingParameters()), ("top-p 0.9", SamplingParameters(topP: 0.9))] {
            var medians: [Double] = []
            for mask in [nil, masks[0], masks[1], forced] {
                var times: [Double] = []
                for index in 0..<draws {
                    let began = ContinuousClock.now
                    _ = try logits.withUnsafeBufferPointer { (logits) throws(SamplingError) in
                        try sampler.sample(
                            logits: logits, parameters: parameters, prompt: [], generated: [], mask: mask, choice: 0, index: index)
                    }
                    times.append((ContinuousClock.now - began) / .microseconds(1))
                }
                medians.append(times.median ?? 0)
            }
            rows.append(Row(
                sampling: name, unmaskedMicroseconds: medians[0], manyMicroseconds: medians[1], fewMicroseconds: medians[2],
                forcedMicroseconds: medians[3]))
        }
        return rows
    }
}
