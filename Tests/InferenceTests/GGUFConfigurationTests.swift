import Foundation
@testable import Inference
import Kernels
import Testing

@Suite struct GGUFConfigurationTests {
    private static let keys: [String: GGUFEntry.Value] = [
        "general.architecture": .string("llama"), "llama.block_count": .uint32(1), "llama.context_length": .uint32(64),
        "llama.embedding_length": .uint32(8), "llama.feed_forward_length": .uint32(4), "llama.attention.head_count": .uint32(2),
        "llama.attention.layer_norm_rms_epsilon": .float32(1e-5), "llama.vocab_size": .uint32(2),
        "tokenizer.ggml.eos_token_id": .uint32(1),
    ]
    /// With the fastest dimension first.
    private static let tensors: [(String, [UInt64])] = [
        ("token_embd.weight", [8, 2]), ("output_norm.weight", [8]), ("blk.0.attn_norm.weight", [8]), ("blk.0.attn_q.weight", [8, 8]),
        ("blk.0.attn_k.weight", [8, 8]), ("blk.0.attn_v.weight", [8, 8]), ("blk.0.attn_output.weight", [8, 8]),
        ("blk.0.ffn_norm.weight", [8]), ("blk.0.ffn_gate.weight", [8, 4]), ("blk.0.ffn_up.weight", [8, 4]), ("blk.0.ffn_down.weight", [4, 8]),
    ]

    private func file(
        _ changes: [String: GGUFEntry.Value?] = [:], adding more: [(String, [UInt64])] = []
    ) throws -> (CheckpointMaker.Directory, String) {
        var maker = GGUFMaker()
        var offset: UInt64 = 0
        for (key, value) in Self.keys.merging(changes.compactMapValues { $0 }, uniquingKeysWith: { $1 }).sorted(by: { $0.key < $1.key }) {
            if case .some(.none) = changes[key] { continue }
            var bytes: [UInt8] = []
            GGUFEntry(key, value).append(to: &bytes)
            maker.metadata.append((bytes, []))
        }
        for (name, dimensions) in Self.tensors + more {
            maker.tensors.append(GGUFMaker.tensor(name, dimensions, offset: offset))
            offset += (dimensions.reduce(4, *) + 31) / 32 * 32
        }
        maker.dataCount = Int(offset)
        let directory = try CheckpointMaker.Directory()
        return (directory, try directory.write(maker.bytes, "x.gguf"))
    }

    private func configuration(
        _ changes: [String: GGUFEntry.Value?] = [:], adding more: [(String, [UInt64])] = []
    ) throws -> ModelConfiguration {
        let (directory, path) = try file(changes, adding: more)
        return try withExtendedLifetime(directory) { try ModelConfiguration(path: path) }
    }

    @Test func keysAreRead() throws {
        let plain = try configuration()
        #expect(plain.architecture == .llama && plain.headDim == 4 && plain.kvHeadCount == 2 && plain.tiedEmbeddings)
        #expect(plain.rope == RopeConfiguration(theta: 10_000, scaling: .none) && plain.endTokens == [1] && plain.beginToken == nil)
        #expect(plain.rmsNormEpsilon == 1e-5 && plain.windows == [nil] && !plain.qkvBias)
        let rich = try configuration(
            [
                "llama.attention.sliding_window": .uint32(16), "llama.rope.freq_base": .float32(500_000),
                "llama.rope.scaling.type": .string("linear"), "llama.rope.scaling.factor": .float32(4),
                "llama.attention.head_count_kv": .uint32(1), "tokenizer.ggml.bos_token_id": .uint32(0), "tokenizer.ggml.eot_token_id": .uint32(0),
            ], adding: [("output.weight", [8, 2])])
        #expect(rich.architecture == .mistral && rich.windows == [16] && rich.kvHeadCount == 1 && !rich.tiedEmbeddings)
        #expect(rich.rope == RopeConfiguration(theta: 500_000, scaling: .linear(factor: 4)))
        #expect(rich.endTokens == [1, 0] && rich.beginToken == 0)
        #expect(try configuration(["llama.rope.scale_linear": .float32(2)]).rope.scaling == .linear(factor: 2))
        #expect(try configuration(adding: [("blk.0.attn_q.bias", [8])]).qkvBias)
    }

    /// Older files do not say which token ends a turn.
    @Test func theEndOfATurnIsKnownByItsText() throws {
        let tokens = GGUFEntry.Value.strings(["a", "b", "<|im_end|>"].map { Array($0.utf8) })
        #expect(try configuration(["tokenizer.ggml.tokens": tokens]).endTokens == [1, 2])
        #expect(try configuration(["tokenizer.ggml.tokens": tokens]).vocabularySize == 3)
        #expect(try configuration(["tokenizer.ggml.tokens": tokens, "tokenizer.ggml.eot_token_id": .uint32(0)]).endTokens == [1, 0])
    }

    static let refused: [(String, GGUFEntry.Value?, ModelError.Reason)] = [
        ("general.architecture", nil, .missing), ("general.architecture", .string("gemma3"), .unsupported),
        ("general.architecture", .uint32(1), .wrongType),
        ("llama.embedding_length", nil, .missing), ("llama.embedding_length", .string("8"), .wrongType),
        ("llama.embedding_length", .uint32(1 << 30), .outOfRange), ("llama.attention.layer_norm_rms_epsilon", nil, .missing),
        ("llama.attention.layer_norm_rms_epsilon", .float32(.nan), .outOfRange), ("llama.block_count", .int32s([1, 2]), .wrongType),
        ("llama.attention.head_count", .uint32(3), .inconsistent), ("llama.attention.head_count", .uint32(0), .inconsistent),
        ("llama.attention.head_count_kv", .uint32(4), .inconsistent), ("llama.vocab_size", .string("x"), .wrongType),
        ("llama.attention.key_length", .uint32(3), .unsupported), ("llama.attention.value_length", .uint32(8), .unsupported),
        ("llama.rope.dimension_count", .uint32(2), .unsupported), ("llama.rope.scaling.type", .string("yarn"), .unsupported),
        ("llama.rope.scaling.type", .uint32(1), .wrongType), ("llama.rope.scaling.factor", .float32(8), .unsupported),
        ("llama.rope.freq_base", .float32(0), .outOfRange), ("llama.expert_count", .uint32(8), .unsupported),
        ("llama.logit_scale", .float32(2), .unsupported), ("tokenizer.ggml.eos_token_id", .uint32(2), .outOfRange),
        ("tokenizer.ggml.bos_token_id", .uint32(9), .outOfRange),
    ]

    @Test(arguments: refused)
    func aBadKeyIsNamed(key: String, value: GGUFEntry.Value?, reason: ModelError.Reason) throws {
        let (directory, path) = try file([key: value])
        let error = #expect(throws: ModelError.self) { try ModelConfiguration(path: path) }
        #expect(error?.reason == reason && error?.field == key && error?.file == path, "\(error.map(String.init(describing:)) ?? "")")
        withExtendedLifetime(directory) {}
    }

    @Test func aWindowThatTheArchitectureLacksIsRefused() throws {
        var changes: [String: GGUFEntry.Value?] = ["general.architecture": .string("qwen2"), "qwen2.attention.sliding_window": .uint32(8)]
        for (key, value) in Self.keys where key.hasPrefix("llama.") { changes["qwen2." + key.dropFirst(6)] = value }
        let error = #expect(throws: ModelError.self) { try configuration(changes) }
        #expect(error?.field == "qwen2.attention.sliding_window" && error?.reason == .unsupported)
    }

    @Test func linearFactorsNeedToBePositive() throws {
        let error = #expect(throws: ModelError.self) {
            try configuration(["llama.rope.scaling.type": .string("linear"), "llama.rope.scaling.factor": .float32(-1)])
        }
        #expect(error?.field == "llama.rope.scaling.factor" && error?.reason == .outOfRange)
    }

    /// To leave a tensor out would be another model.
    @Test(arguments: ["blk.0.ffn_gate_exps.weight", "blk.1.attn_norm.weight", "blk.00.attn_norm.weight", "blk.0.ffn_up.bias", "x", "blk.0.attn_q_norm.weight"])
    func aTensorThatTheArchitectureLacksIsNamed(name: String) throws {
        let (directory, path) = try file(adding: [(name, [8])])
        _ = try GGUFFile(path: path)
        let error = #expect(throws: ModelError.self) { try CheckpointIndex(path: path) }
        #expect(error?.field == name && error?.reason == .unsupported)
        withExtendedLifetime(directory) {}
    }

    @Test func ropeFactorsAreChecked() throws {
        // The data of the last tensor begins with bytes that are no factor.
        let bad = #expect(throws: ModelError.self) { try configuration(adding: [("rope_freqs.weight", [2])]) }
        #expect(bad?.field == "rope_freqs.weight" && bad?.reason == .outOfRange)
        let long = #expect(throws: ModelError.self) { try configuration(adding: [("rope_freqs.weight", [3])]) }
        #expect(long?.field == "rope_freqs.weight" && long?.reason == .shape)
    }

    @Test func aFileThatIsNoGGUFIsRefusedAsSuch() throws {
        let directory = try CheckpointMaker.Directory()
        let path = try directory.write(Array("{}xxxxxxxxxxxxxxxxxxxxxxxxxxxx".utf8), "model.bin")
        #expect(#expect(throws: ModelError.self) { try ModelConfiguration(path: path) }?.reason == .magic)
        #expect(#expect(throws: ModelError.self) { try ModelConfiguration(path: directory.path + "/no.gguf") }?.reason == .unreadable)
    }
}
