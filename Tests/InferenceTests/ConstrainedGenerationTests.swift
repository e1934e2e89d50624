import Foundation
import Generation
import Grammar
import Inference
import Kernels
import Testing
import Tokenizer

/// The bundled storyteller, made to write what it never learned.
@Suite struct ConstrainedGenerationTests {
    private static let schema = OutputConstraint.jsonSchema(
        #"{"type":"object","properties":{"name":{"type":"string","maxLength":12},"age":{"type":"integer","minimum":1,"maximum":99},"tags":{"type":"array","items":{"enum":["big","small"]},"maxItems":2}},"required":["name","age"]}"#)

    /// From any token on, another process with the tokens so far writes the same rest.
    @Test func theModelObeysASchemaAndAReplayIsExact() throws {
        let team = try ThreadTeam(maxThreads: 2), path = BundledModelTests.path
        let model = try Model(path: path, format: .auto, kernels: KernelSet.select(environment: [:]), team: team, threads: 2)
        let generation = LocalGeneration(engine: try Engine(model: model, team: team), threads: 2)
        let tokenizer = try Tokenizer(modelPath: path), end: [TokenID] = [0, 2]
        let grammar = try GrammarCompiler(vocabulary: TokenVocabulary(tokenizer)).compile(Self.schema)
        let prompt = try tokenizer.encode("Once upon a time, there was a")
        for seed in 0..<4 as Range<UInt64> {
            let parameters = seed == 0 ? SamplingParameters.greedy : SamplingParameters(temperature: 1, topP: 0.95, seed: seed)
            var tables = MaskTables(grammar)
            func mask(_ answer: [TokenID]) throws -> TokenMask {
                var state = grammar.start
                for token in answer { try state.advance(by: token, endTokens: end, in: grammar) }
                return tables.mask(of: state, endTokens: end)
            }
            let answer = try generation.generate(
                prompt: prompt, parameters: parameters, stop: StopConditions(maxTokens: 120, endTokens: end), mask: mask)
            #expect(answer.finishReason == .stop)
            let text = tokenizer.decode(answer.tokens)
            #expect(grammar.accepts(text.utf8), "\(text)")
            let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            #expect((object["name"] as? String).map { $0.unicodeScalars.count <= 12 } == true)
            #expect((object["age"] as? Int).map { (1...99).contains($0) } == true)
            // Tables that know nothing yet, and a state read from the tokens.
            tables = MaskTables(grammar)
            for cut in [1, answer.tokens.count / 2] {
                let again = try mask(Array(answer.tokens.prefix(cut)))
                #expect(again.contains(answer.tokens[cut]))
            }
            let replayed = try generation.generate(
                prompt: prompt, parameters: parameters, stop: StopConditions(maxTokens: 120, endTokens: end), mask: mask)
            #expect(replayed == answer)
        }
    }
}
