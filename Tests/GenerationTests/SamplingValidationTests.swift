import Generation
import Testing

@Suite struct SamplingValidationTests {
    @Test func theDefaultsAreValid() throws {
        try SamplingParameters().validate()
        try SamplingParameters.greedy.validate()
    }

    @Test(arguments: [
        ("temperature", SamplingParameters(temperature: -1)), ("temperature", SamplingParameters(temperature: .nan)),
        ("temperature", SamplingParameters(temperature: .infinity)), ("top_p", SamplingParameters(topP: 0)),
        ("top_p", SamplingParameters(topP: 1.5)), ("min_p", SamplingParameters(minP: -0.1)),
        ("top_k", SamplingParameters(topK: -1)), ("repetition_penalty", SamplingParameters(repetitionPenalty: 0)),
        ("presence_penalty", SamplingParameters(presencePenalty: .nan)),
        ("frequency_penalty", SamplingParameters(frequencyPenalty: 1e9)),
        ("logit_bias", SamplingParameters(logitBias: [TokenBias(token: 1, bias: 100.5)])),
        ("logit_bias", SamplingParameters(logitBias: [TokenBias(token: 1, bias: .nan)])),
        ("logit_bias", SamplingParameters(logitBias: [TokenBias(token: 2, bias: 1), TokenBias(token: 2, bias: 1)])),
        ("logit_bias", SamplingParameters(logitBias: (0..<1025).map { TokenBias(token: $0, bias: 1) })),
    ])
    func aValueOutsideItsRangeIsNamed(parameter: String, sampling: SamplingParameters) {
        #expect { try sampling.validate() } throws: { ($0 as? InvalidSampling)?.parameter == parameter }
    }
}
