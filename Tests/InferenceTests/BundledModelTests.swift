import Foundation
import Generation
import Inference
import Kernels
import Testing

/// The storyteller in `Models/baton-tiny`, which unlike the oracles has learned something.
@Suite struct BundledModelTests {
    static let path = URL(fileURLWithPath: Oracle.directory).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Models/baton-tiny").path

    private func engine(_ format: WeightFormat) throws -> Engine {
        let team = try ThreadTeam(maxThreads: 2)
        let model = try Model(path: Self.path, format: format, kernels: KernelSet.select(environment: [:]), team: team,
                              threads: 2)
        return try Engine(model: model, team: team)
    }

    /// Along a text of its own, int8 weights would choose nearly every token that the stored weights chose.
    @Test func int8WeightsTellTheSameStory() throws {
        let stored = try engine(.auto), quantized = try engine(.int8)
        // End tokens are left out of the stop conditions: the text goes on with another story.
        let story = try LocalGeneration(engine: stored, threads: 2)
            .generate(prompt: [0], parameters: .greedy, stop: StopConditions(maxTokens: 200)).tokens
        let blocks = Int32((story.count + 15) / 16)
        var batch = TokenBatch()
        batch.append([0] + story.dropLast(), at: 0, blockTable: (0..<blocks).map { $0 }, logits: .all)
        let logits = try quantized.forward(batch, kv: quantized.cache(blocks: Int(blocks)), threads: 2)
        let agreeing = story.indices.count { index in
            quantized.model.kernels.largest(of: logits[index]) == .index(Int(story[index]))
        }
        #expect(agreeing >= story.count * 95 / 100, "\(agreeing) of \(story.count)")
    }
}
