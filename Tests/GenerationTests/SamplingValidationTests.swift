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
    ])
    func aValueOutsideItsRangeIsNamed(parameter: String, sampling: SamplingParameters) {
        #expect { try sampling.validate() } throws: { ($0 as? InvalidSampling)?.parameter == parameter }
    }
}
