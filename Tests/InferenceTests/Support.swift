import Foundation
import Generation
import Inference
import Kernels

/// The oracle checkpoints, made with transformers (`make_checkpoints.py` beside them).
enum Oracle {
    static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/checkpoints").path
    static let names = ["llama2", "llama3", "llama-linear", "mistral", "qwen2", "qwen3"]

    struct Expected: Decodable {
        struct Prompt: Decodable {
            var prompt: [TokenID]
            var continuation: [TokenID]
            var logprobs: [Float]
            var bf16Logits: [Float]?

            enum CodingKeys: String, CodingKey {
                case prompt, continuation, logprobs
                case bf16Logits = "bf16_logits"
            }
        }
        var prompts: [Prompt]
    }

    static func path(_ name: String) -> String { directory + "/" + name }

    static func expected(_ name: String) throws -> [Expected.Prompt] {
        let data = try Data(contentsOf: URL(fileURLWithPath: path(name) + "/expected.json"))
        return try JSONDecoder().decode(Expected.self, from: data).prompts
    }

    static func engine(
        _ name: String, format: WeightFormat, kernels: KernelSet? = nil, threads: Int = 2, float32Path: Float32Path = .packed
    ) throws -> Engine {
        let team = try ThreadTeam(maxThreads: threads)
        let chosen = try kernels ?? KernelSet.select(environment: [:])
        let model = try Model(path: path(name), format: format, kernels: chosen, team: team, threads: threads,
                              float32Path: float32Path)
        return try Engine(model: model, team: team)
    }
}

extension Engine {
    /// A cache of `blocks` blocks for this engine's model.
    func cache(blocks: Int, blockSize: Int = 16, format: KVFormat = .auto) throws -> KVCache {
        try KVCache(layout: model.kvLayout(blockSize: blockSize, format: format), layerCount: model.configuration.layerCount,
                    blockCount: blocks)
    }
}
