import Foundation
import Generation
@testable import Inference
import Kernels
import Testing

@Suite struct RandomCheckpointTests {
    private let config = Array(#"""
        {"architectures": ["Qwen3ForCausalLM"], "dtype": "float32", "vocab_size": 101, "hidden_size": 36, "intermediate_size": 70,
         "num_hidden_layers": 2, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 20,
         "max_position_embeddings": 64, "attention_bias": true}
        """#.utf8)

    @Test func aWrittenCheckpointRuns() throws {
        let directory = try CheckpointMaker.Directory(), team = try ThreadTeam(maxThreads: 1)
        var last = 0.0
        try RandomCheckpoint.write(config: config, seed: 5, to: directory.path) { last = $0 }
        #expect(last == 1)
        let model = try Model(path: directory.path, kernels: KernelSet.select(environment: [:]), team: team, threads: 1)
        #expect(model.weightFormat == .bfloat16 && model.configuration.declaredType == "bfloat16")
        let answer = try LocalGeneration(engine: Engine(model: model, team: team), threads: 1)
            .generate(prompt: [1, 2, 3], parameters: .greedy, stop: StopConditions(maxTokens: 5))
        #expect(answer.tokens.count == 5)
        let size = try #require(FileManager.default.attributesOfItem(atPath: directory.path + "/model.safetensors")[.size] as? Int)
        #expect(size > model.configuration.parameterCount * 2 && size < model.configuration.parameterCount * 2 + 5000)
    }

    @Test func theSeedDecidesTheBytes() throws {
        func weights(seed: UInt64) throws -> Data {
            let directory = try CheckpointMaker.Directory()
            try RandomCheckpoint.write(config: config, seed: seed, to: directory.path)
            return try Data(contentsOf: URL(fileURLWithPath: directory.path + "/model.safetensors"))
        }
        let first = try weights(seed: 1)
        #expect(try weights(seed: 1) == first)
        #expect(try weights(seed: 2) != first)
    }

    @Test func weightsHaveTheirDeviation() {
        var generator = SplitMix64(state: 1)
        let values = (0..<50_000).map { _ in Double(Float(bitPattern: UInt32(generator.nearlyNormal()) << 16)) }
        let mean = values.reduce(0, +) / 50_000, variance = values.reduce(0) { $0 + $1 * $1 } / 50_000
        #expect(abs(mean) < 5e-4 && abs(variance.squareRoot() - 0.02) < 5e-4)
    }

    @Test(arguments: zip(ModelShape.allCases, [494_032_768, 134_515_008, 1_100_048_384, 1_235_814_400]))
    func knownShapesHaveTheirParameters(shape: ModelShape, parameters: Int) throws {
        let configuration = try ModelConfiguration(config: Array(shape.config.utf8))
        #expect(configuration.parameterCount == parameters)
        #expect(TensorList.entries(of: configuration).reduce(0) { $0 + $1.count } == parameters)
    }

    /// What a checkpoint lacks, or has in another shape or type, is named.
    @Test func aDamagedCheckpointIsRefused() throws {
        let directory = try CheckpointMaker.Directory(), team = try ThreadTeam(maxThreads: 1)
        try RandomCheckpoint.write(config: config, seed: 5, to: directory.path)
        let path = directory.path + "/model.safetensors", whole = try Array(Data(contentsOf: URL(fileURLWithPath: path)))
        func load() throws { _ = try Model(path: directory.path, kernels: KernelSet.select(environment: [:]), team: team, threads: 1) }
        for (from, to, reason) in [
            ("layers.1.mlp.down_proj", "layers.1.mlp.xown_proj", .missing), ("[101, 36]", "[36, 101]", .shape),
            ("\"model.norm.weight\":{\"dtype\":\"BF16\"", "\"model.norm.weight\":{\"dtype\":\"BF17\"", .unsupported),
        ] as [(String, String, ModelError.Reason)] {
            let text = String(decoding: whole.prefix(4000), as: Unicode.ASCII.self)
            let range = try #require(text.range(of: from))
            var bytes = whole
            let start = text.distance(from: text.startIndex, to: range.lowerBound)
            bytes.replaceSubrange(start..<start + from.utf8.count, with: Array(to.utf8))
            try directory.write(bytes, "model.safetensors")
            let error = #expect(throws: ModelError.self) { try load() }
            #expect(error?.reason == reason)
        }
        try directory.write(Array(whole.dropLast(10)), "model.safetensors")
        #expect(throws: ModelError.self) { try load() }
    }
}
