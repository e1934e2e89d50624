import Foundation
@testable import Inference
import Kernels
import Testing

@Suite struct ModelConfigurationTests {
    private func read(_ changes: [String: Any?] = [:], generation: String? = nil) throws -> ModelConfiguration {
        try ModelConfiguration(config: CheckpointMaker.config(changes), generationConfig: generation.map { Array($0.utf8) })
    }

    @Test func bothLayoutsAreRead() throws {
        let older = try read()
        #expect(older.architecture == .qwen2 && older.headDim == 8 && older.groupSize == 2 && older.qkvBias && !older.outputBias)
        #expect(older.windows == [nil, nil, 16] && older.endTokens == [1, 2] && older.beginToken == 0 && older.tiedEmbeddings)
        #expect(older.rope == RopeConfiguration(theta: 10_000, scaling: .llama3(
            factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 64)))
        #expect(older.declaredType == "float32" && older.kvBytesPerToken(.bfloat16) == 2 * 3 * 16 * 2)
        let current = try read(["rope_scaling": nil, "rope_theta": nil, "torch_dtype": nil, "dtype": "bfloat16",
                                "rope_parameters": ["rope_type": "linear", "factor": 2, "rope_theta": 5e5]])
        #expect(current.rope == RopeConfiguration(theta: 5e5, scaling: .linear(factor: 2)))
        #expect(current.declaredType == "bfloat16")
    }

    @Test func generationConfigDecidesTheEnd() throws {
        #expect(try read(generation: #"{"eos_token_id": 7}"#).endTokens == [7])
        #expect(try read(generation: #"{"temperature": 1}"#).endTokens == [1, 2])
        #expect(try read(["eos_token_id": 3]).endTokens == [3])
        #expect(try read(["eos_token_id": NSNull()]).endTokens == [])
    }

    @Test func windowsFollowTheArchitecture() throws {
        #expect(try read(["use_sliding_window": false]).windows == [nil, nil, nil])
        #expect(try read(["architectures": ["MistralForCausalLM"]]).windows == [16, 16, 16])
        #expect(try read(["architectures": ["LlamaForCausalLM"]]).windows == [nil, nil, nil])
        let types = ["full_attention", "sliding_attention", "full_attention"]
        #expect(try read(["layer_types": types]).windows == [nil, 16, nil])
        #expect(try read(["use_sliding_window": true, "sliding_window": NSNull()]).windows == [nil, nil, nil])
    }

    @Test func biasesAndNormsFollowTheArchitecture() throws {
        let llama = try read(["architectures": ["LlamaForCausalLM"], "attention_bias": true])
        #expect(llama.qkvBias && llama.outputBias && !llama.headNorm)
        let qwen3 = try read(["architectures": ["Qwen3ForCausalLM"], "head_dim": 64])
        #expect(!qwen3.qkvBias && qwen3.headNorm && qwen3.headDim == 64 && qwen3.queryWidth == 256)
        let mistral = try read(["architectures": ["MistralForCausalLM"]])
        #expect(!mistral.qkvBias && !mistral.outputBias)
    }

    /// Each branch of the validation: key, hostile value, reason.
    static let refused: [(key: String, json: String, reason: ModelError.Reason)] = [
        ("architectures", "null", .missing), ("architectures", "[]", .wrongType), ("architectures", "\"x\"", .wrongType),
        ("architectures", #"["GPT2LMHeadModel"]"#, .unsupported), ("vocab_size", "0", .outOfRange), ("vocab_size", "null", .missing),
        ("vocab_size", "9223372036854775807", .outOfRange), ("hidden_size", "-32", .outOfRange), ("hidden_size", "1.5", .wrongType),
        ("num_hidden_layers", "100000", .outOfRange), ("num_attention_heads", "6", .inconsistent),
        ("num_key_value_heads", "3", .inconsistent), ("head_dim", "512", .outOfRange), ("head_dim", "7", .unsupported),
        ("hidden_size", "36", .unsupported), ("max_position_embeddings", "99999999999", .outOfRange),
        ("rms_norm_eps", "-1", .outOfRange), ("rms_norm_eps", "\"small\"", .wrongType), ("tie_word_embeddings", "1", .wrongType),
        ("hidden_act", "\"gelu\"", .unsupported), ("hidden_act", "3", .wrongType), ("mlp_bias", "true", .unsupported),
        ("quantization_config", "{}", .unsupported), ("rope_theta", "0", .outOfRange), ("rope_theta", "1e99", .outOfRange),
        ("rope_scaling", #"{"type": "dynamic", "factor": 2.0}"#, .unsupported), ("rope_scaling", "[]", .wrongType),
        ("rope_scaling", #"{"rope_type": "longrope"}"#, .unsupported), ("rope_scaling", #"{"rope_type": "yarn", "factor": 4}"#, .unsupported),
        ("rope_scaling", #"{"rope_type": "linear"}"#, .missing), ("rope_scaling", #"{"rope_type": "linear", "factor": 0}"#, .outOfRange),
        ("rope_scaling", #"{"factor": 2}"#, .unsupported), ("partial_rotary_factor", "0.5", .unsupported),
        ("rope_scaling", #"{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4,"original_max_position_embeddings":64}"#, .inconsistent),
        ("sliding_window", "0", .outOfRange), ("sliding_window", "99999999999", .outOfRange), ("layer_types", #"["full_attention"]"#, .inconsistent),
        ("layer_types", #"["full_attention","full_attention","chunked_attention"]"#, .unsupported),
        ("max_window_layers", "-1", .outOfRange), ("eos_token_id", "100", .outOfRange), ("eos_token_id", "[1, \"x\"]", .wrongType),
        ("eos_token_id", "-1", .outOfRange), ("bos_token_id", "1.5", .wrongType), ("use_sliding_window", "\"yes\"", .wrongType),
        ("torch_dtype", "16", .wrongType),
    ]

    @Test(arguments: refused)
    func aBadValueIsRefusedByName(key: String, json: String, reason: ModelError.Reason) throws {
        let value = try JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed)
        let error = #expect(throws: ModelError.self) { try read([key: value]) }
        #expect(error?.reason == reason, "\(error.map(String.init(describing:)) ?? "")")
        #expect(error?.description.contains("config.json") == true)
        if reason != .missing, key != "hidden_size" {
            #expect(error?.field.contains(key) == true || error?.field.hasPrefix("rope_scaling.") == true)
        }
    }

    /// Every document is read by one reader, strict as no two others are.
    @Test func textThatIsNotOneDocumentIsRefused() throws {
        let text = String(decoding: CheckpointMaker.config, as: UTF8.self)
        for (from, to, value) in [
            (#""bos_token_id": 0"#, #""vocab_size": 99"#, "vocab_size: key appears twice"),
            (#""float32""#, #""\udc00""#, "surrogate"), ("1e-06", "1.e-06", "malformed number"), ("true}", "true", "unexpected end"),
        ] {
            let error = #expect(throws: ModelError.self) {
                try ModelConfiguration(config: Array(text.replacing(from, with: to).utf8))
            }
            #expect(error?.reason == .malformed && error?.value.contains(value) == true, "\(String(describing: error))")
        }
        let infinite = #expect(throws: ModelError.self) {
            try ModelConfiguration(config: Array(text.replacing("1e-06", with: "1e999").utf8))
        }
        #expect(infinite?.reason == .outOfRange && infinite?.field == "rms_norm_eps" && infinite?.value == "1e999")
    }

    @Test func anErrorNamesKeyAndValue() {
        let error = #expect(throws: ModelError.self) { try read(["rope_scaling": ["rope_type": "yarn", "factor": 4]]) }
        #expect(error?.description == "config.json: rope_scaling.rope_type = \"yarn\" is not supported")
    }

    @Test func mutationsEndInAnErrorOrAConfiguration() {
        var mutations = Mutations(seed: 2), reasons: Set<ModelError.Reason> = [], accepted = 0
        for _ in 0..<6000 {
            do throws(ModelError) {
                _ = try ModelConfiguration(config: mutations.mutate(CheckpointMaker.config))
                accepted += 1
            } catch { reasons.insert(error.reason) }
        }
        let expected: Set<ModelError.Reason> = [.malformed, .missing, .wrongType, .outOfRange, .inconsistent, .unsupported]
        #expect(reasons.isSuperset(of: expected), "not reached: \(expected.subtracting(reasons))")
        #expect(accepted > 0)
    }

    /// transformers' own formulas, in double.
    @Test func frequenciesFollowTheirFormulas() throws {
        let plain = RopeConfiguration(theta: 10_000, scaling: .none).inverseFrequencies(headDim: 64)
        let exact = (0..<32).map { pow(10_000, -Double(2 * $0) / 64) }
        #expect(plain == exact.map(Float.init))
        let linear = RopeConfiguration(theta: 10_000, scaling: .linear(factor: 4)).inverseFrequencies(headDim: 64)
        #expect(linear == exact.map { Float($0 / 4) })
        let stretched = RopeConfiguration(theta: 10_000, scaling: .llama3(
            factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 64)).inverseFrequencies(headDim: 64)
        #expect(stretched[0] == plain[0] && stretched[31] == Float(exact[31] / 8))
        let between = zip(stretched, exact).filter { pair in
            let ratio = Double(pair.0) / pair.1
            return ratio < 0.99 && ratio > 1.01 / 8
        }
        #expect(!between.isEmpty)
    }
}
