import Foundation
import Generation
@testable import Inference
import Kernels
import Testing

/// Packed weights that one process leaves to the next.
@Suite struct WeightCacheTests {
    private let model = try? CheckpointMaker.Directory(), caches = try? CheckpointMaker.Directory()
    private let team = try? ThreadTeam(maxThreads: 2)

    private static let config = Array(#"""
        {"architectures": ["Qwen2ForCausalLM"], "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96,
         "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
        """#.utf8)

    init() throws {
        try RandomCheckpoint.write(config: Self.config, seed: 1, to: #require(model).path)
    }

    private func load(
        _ format: WeightFormat = .auto, kept cache: WeightCache? = nil, progress: (Double) -> Void = { _ in }
    ) throws -> Model {
        try Model(
            path: #require(model).path, format: format, kernels: KernelSet.select(environment: [:]), team: #require(team), threads: 2,
            cache: cache ?? .directory(#require(caches).path), progress: progress)
    }

    private func file() throws -> String {
        let directory = try #require(caches).path
        let names = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".packed") }
        return try directory + "/" + #require(names.first)
    }

    private func digest(_ model: Model) throws -> UInt64 {
        let engine = try Engine(model: model, team: #require(team)), kv = try KVCache(
            layout: model.kvLayout(blockSize: 16), layerCount: 2, blockCount: 2)
        var batch = TokenBatch()
        batch.append((0..<20).map { TokenID($0 * 7) }, at: 0, blockTable: [0, 1])
        return logitsDigest(try engine.forward(batch, kv: kv, threads: 1)[0])
    }

    @Test(arguments: [WeightFormat.float32, .bfloat16, .int8])
    func theNextStartMapsWhatThisOnePacked(format: WeightFormat) throws {
        let alone = try load(format, kept: .off), first = try load(format)
        #expect(alone.cacheOutcome == .inMemory(reason: "no cache wanted"))
        #expect(try first.cacheOutcome == .packed(path: file()))
        var shares: [Double] = []
        let second = try load(format) { shares.append($0) }
        #expect(try second.cacheOutcome == .mapped(path: file()))
        #expect(shares == [1], "nothing is packed")
        #expect(try first.hash == alone.hash && second.hash == alone.hash)
        #expect(try digest(first) == digest(alone) && digest(second) == digest(alone))
        #expect(second.weightByteCount == alone.weightByteCount)
    }

    @Test func formatsAndModelsOfOneNameDoNotMeet() throws {
        _ = try load(.bfloat16)
        _ = try load(.int8)
        #expect(try FileManager.default.contentsOfDirectory(atPath: #require(caches).path).filter { $0.hasSuffix(".packed") }.count == 2)
        #expect(try load(.bfloat16).cacheOutcome.description.hasPrefix("mapped"))
    }

    /// Every damaged place is seen: in the header, in the weights, at the end.
    @Test func aDamagedFileIsPackedAnew() throws {
        let whole = try digest(load()), path = try file(), good = try Data(contentsOf: URL(fileURLWithPath: path))
        for offset in [0, 9, 60, 100, 105, 113, good.count / 2, good.count - 5000] {
            var bad = good
            bad[offset] ^= 0x10
            try bad.write(to: URL(fileURLWithPath: path))
            let model = try load()
            // A byte that only pads between the header and the weights means nothing.
            #expect(model.cacheOutcome == .packed(path: path), "byte \(offset)")
            #expect(try digest(model) == whole)
        }
        for count in [0, 7, 200, good.count - 1] {
            try good.prefix(count).write(to: URL(fileURLWithPath: path))
            #expect(try load().cacheOutcome == .packed(path: path), "\(count) bytes")
        }
        try (good + [0]).write(to: URL(fileURLWithPath: path))
        #expect(try load().cacheOutcome == .packed(path: path))
        #expect(try load().cacheOutcome == .mapped(path: path))
    }

    /// Another checkpoint in the same place has another hash; the same one with other times is hashed and believed.
    @Test func theCheckpointIsRecognized() throws {
        let first = try load(), weights = try #require(model).path + "/model.safetensors"
        try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: weights)
        #expect(try load().cacheOutcome == .mapped(path: file()))
        try RandomCheckpoint.write(config: Self.config, seed: 2, to: #require(model).path)
        let second = try load()
        #expect(try second.cacheOutcome == .packed(path: file()))
        #expect(second.hash != first.hash)
        #expect(try load().hash == second.hash)
    }

    @Test func anUnwritableCacheIsDoneWithout() throws {
        let blocked = try #require(caches).path + "/file"
        try Data().write(to: URL(fileURLWithPath: blocked))
        let model = try load(kept: .directory(blocked + "/below"))
        guard case .inMemory(let reason) = model.cacheOutcome else {
            Issue.record("\(model.cacheOutcome)")
            return
        }
        #expect(reason.contains(blocked))
        #expect(try digest(model) == digest(load(kept: .off)))
    }

    /// Many at once: one packs, the others wait and map.
    @Test func whoeverComesFirstPacks() async throws {
        let path = try #require(model).path, directory = try #require(caches).path
        let outcomes = try await withThrowingTaskGroup(of: WeightCache.Outcome.self) { group in
            for _ in 0..<6 {
                group.addTask {
                    let team = try ThreadTeam(maxThreads: 1)
                    return try Model(
                        path: path, kernels: KernelSet.select(environment: [:]), team: team, threads: 1,
                        cache: .directory(directory)).cacheOutcome
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let file = try file()
        #expect(outcomes.filter { $0 == .packed(path: file) }.count == 1)
        #expect(outcomes.filter { $0 == .mapped(path: file) }.count == 5)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory).allSatisfy { !$0.hasSuffix(".part") })
    }

    @Test func filesOfOlderLayoutsAreRemoved() throws {
        _ = try load(.bfloat16)
        let path = try file(), url = URL(fileURLWithPath: path)
        let older = path.replacing(/[0-9a-f]{12}\.packed$/, with: "0123456789ab.packed")
        let other = path.replacing("bfloat16-", with: "int8-")
        try FileManager.default.moveItem(atPath: path, toPath: older)
        try Data("x".utf8).write(to: URL(fileURLWithPath: other))
        _ = try load(.bfloat16)
        let names = try FileManager.default.contentsOfDirectory(atPath: url.deletingLastPathComponent().path)
        #expect(Set(names.filter { $0.hasSuffix(".packed") }.map { url.deletingLastPathComponent().path + "/" + $0 }) == [path, other])
    }

    @Test func smallModelsAreNotKeptByThemselves() throws {
        #expect(try load(kept: .automatic).cacheOutcome == .inMemory(reason: "no cache wanted"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: #require(model).path).sorted() == ["config.json", "model.safetensors"])
    }
}
