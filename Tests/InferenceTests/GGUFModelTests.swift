import Foundation
import Generation
@testable import Inference
import Kernels
import Testing

/// Files made with llama.cpp's own Python package (`make_gguf.py` beside them).
enum GGUFFixtures {
    static func path(_ name: String) -> String {
        URL(fileURLWithPath: Oracle.directory).deletingLastPathComponent().appendingPathComponent("gguf/\(name)").path
    }
}

@Suite struct GGUFModelTests {
    private static func engine(_ path: String, _ format: WeightFormat = .auto) throws -> Engine {
        let team = try ThreadTeam(maxThreads: 2)
        return try Engine(
            model: Model(path: path, format: format, kernels: KernelSet.select(environment: [:]), team: team, threads: 2), team: team)
    }

    private static func logits(_ engine: Engine, _ prompt: [TokenID]) throws -> [UInt32] {
        let blocks = (prompt.count + 15) / 16
        var batch = TokenBatch()
        batch.append(prompt, at: 0, blockTable: (0..<Int32(blocks)).map { $0 })
        return try engine.forward(batch, kv: engine.cache(blocks: blocks), threads: 2).copy(0).map(\.bitPattern)
    }

    private static func prompt(_ count: Int, vocabulary: Int) -> [TokenID] { (0..<count).map { TokenID(($0 * 37 + 5) % vocabulary) } }

    /// The shape of a model without what a GGUF file writes down differently.
    private static func shape(_ c: ModelConfiguration) -> [String] {
        [
            "\(c.vocabularySize) \(c.hiddenSize) \(c.intermediateSize) \(c.layerCount) \(c.headCount) \(c.kvHeadCount) \(c.headDim)",
            "\(c.maxPositions) \(c.rmsNormEpsilon) \(c.tiedEmbeddings) \(c.qkvBias) \(c.outputBias) \(c.headNorm) \(c.rope.theta)",
            "\(c.windows) \(c.endTokens) \(String(describing: c.beginToken))",
        ]
    }

    @Test(arguments: ["llama3", "qwen2"])
    func greedyTokensEqualTransformers(name: String) throws {
        let engine = try Self.engine(GGUFFixtures.path("\(name).gguf"), .float32)
        let generation = LocalGeneration(engine: engine, threads: 2)
        for prompt in try Oracle.expected(name) {
            let stop = StopConditions(maxTokens: Int32(prompt.continuation.count))
            let answer = try generation.generate(prompt: prompt.prompt, parameters: .greedy, stop: stop)
            #expect(answer.tokens == prompt.continuation, "prompt of \(prompt.prompt.count)")
        }
    }

    @Test(arguments: ["llama3", "qwen2"])
    func configurationAndWeightsEqualTheCheckpoints(name: String) throws {
        let path = GGUFFixtures.path("\(name).gguf")
        let ours = try ModelConfiguration(path: path), theirs = try ModelConfiguration(path: Oracle.path(name))
        #expect(Self.shape(ours) == Self.shape(theirs) && ours.architecture == theirs.architecture)
        let (a, b) = (ours.rope.inverseFrequencies(headDim: ours.headDim), theirs.rope.inverseFrequencies(headDim: ours.headDim))
        #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 0x1p-22 * $1 })
        for format in [WeightFormat.float32, .bfloat16] {
            let gguf = try Self.engine(path, format), safetensors = try Self.engine(Oracle.path(name), format)
            #expect(gguf.model.hash != safetensors.model.hash && gguf.model.weightFormat == safetensors.model.weightFormat)
            for prompt in try Oracle.expected(name) where a == b || prompt.prompt.count == 1 {
                #expect(try Self.logits(gguf, prompt.prompt) == Self.logits(safetensors, prompt.prompt), "\(format)")
            }
        }
        let stored = try #require(CheckpointIndex(path: path)["model.embed_tokens.weight"]?.type)
        #expect(WeightFormat.auto.resolved(stored: stored) == (name == "llama3" ? .bfloat16 : .float32))
    }

    /// Rows in Q4_K, Q5_K, Q6_K and Q8_0, two types in one stacked matrix, and q and k in llama.cpp's order.
    @Test func quantizedWeightsAreTheNumbersTheyStandFor() throws {
        let quantized = GGUFFixtures.path("mixed.gguf"), directory = try CheckpointMaker.Directory(), prompt = Self.prompt(20, vocabulary: 96)
        #expect(try Self.engine(quantized).model.weightFormat == .bfloat16)
        let uses = try CheckpointIndex(path: quantized).weightUses(.bfloat16)
        #expect(Set(uses.map(\.storedType)) == ["Q4_K", "Q5_K", "Q6_K", "Q8_0"] && uses.allSatisfy { !$0.isKeptAsStored })
        #expect(uses.reduce(0) { $0 + $1.tensors } == 8 && uses.first?.storedType == "Q4_K")
        let plain = directory.path + "/plain.gguf"
        try GGUFConversion.write(quantized, vocabulary: [GGUFEntry("tokenizer.ggml.model", .string("no_vocab"))], endToken: nil, type: .float32, to: plain)
        for format in [WeightFormat.float32, .bfloat16] {
            let logits = try Self.logits(Self.engine(quantized, format), prompt)
            #expect(logits == (try Self.logits(Self.engine(plain, format), prompt)))
            #expect(logits.allSatisfy { Float(bitPattern: $0).isFinite } && Set(logits).count > 80)
        }
        let blas = try Oracle.engine("../gguf/mixed.gguf", format: .float32, float32Path: .openBLAS)
        #expect(try blas.forward(Self.batch(prompt), kv: blas.cache(blocks: 2), threads: 2).copy(0).allSatisfy(\.isFinite))
    }

    private static func batch(_ prompt: [TokenID]) -> TokenBatch {
        var batch = TokenBatch()
        batch.append(prompt, at: 0, blockTable: [0, 1])
        return batch
    }

    @Test(arguments: Oracle.names)
    func aConvertedCheckpointAnswersAlike(name: String) throws {
        let directory = try CheckpointMaker.Directory(), path = directory.path + "/x.gguf"
        var last = 0.0
        try GGUFConversion.write(
            Oracle.path(name), vocabulary: [GGUFEntry("tokenizer.ggml.model", .string("no_vocab"))], endToken: nil, type: nil, to: path
        ) { last = $0 }
        #expect(last == 1)
        let original = try ModelConfiguration(path: Oracle.path(name)), copy = try ModelConfiguration(path: path)
        #expect(Self.shape(copy) == Self.shape(original) && copy.architecture == original.architecture)
        let (a, b) = (copy.rope.inverseFrequencies(headDim: copy.headDim), original.rope.inverseFrequencies(headDim: copy.headDim))
        #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 0x1p-22 * $1 })
        let (one, other) = (try Self.engine(path, .float32), try Self.engine(Oracle.path(name), .float32))
        for prompt in try Oracle.expected(name) where a == b || prompt.prompt.count == 1 {
            #expect(try Self.logits(one, prompt.prompt) == Self.logits(other, prompt.prompt), "prompt of \(prompt.prompt.count)")
        }
    }

    /// The GGUF file of a shape and seed has the weights of the directory; its q and k are in llama.cpp's order.
    @Test(arguments: ["LlamaForCausalLM", "Qwen3ForCausalLM"])
    func aRandomCheckpointHasOneSetOfWeights(architecture: String) throws {
        let config = Array(#"""
            {"architectures": ["\#(architecture)"], "vocab_size": 300, "hidden_size": 64, "intermediate_size": 70,
             "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "rope_theta": 10000.0,
             "rms_norm_eps": 1e-05, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
            """#.utf8)
        let directory = try CheckpointMaker.Directory(), gguf = directory.path + "/x.gguf"
        try RandomCheckpoint.write(config: config, seed: 9, to: directory.path)
        let plain = try CheckpointIndex(path: directory.path), prompt = Self.prompt(33, vocabulary: 300)
        for type in [StoredType.bfloat16, .float32, .float16, .q8_0] {
            try RandomCheckpoint.writeGGUF(config: config, seed: 9, type: type, to: gguf)
            let index = try CheckpointIndex(path: gguf)
            #expect(index.names == plain.names)
            for name in plain.names {
                let (tensor, bytes) = try #require(index.tensor(name)), (original, wanted) = try #require(plain.tensor(name))
                #expect(tensor.shape == original.shape)
                let columns = tensor.shape.count > 1 ? tensor.shape[1] : 1, isQuantizable = columns % type.elementsPerBlock == 0
                #expect(tensor.type == (tensor.shape.count == 1 ? .float32 : isQuantizable ? type : .bfloat16), "\(name)")
                let (base, wantedBase) = (try #require(bytes.baseAddress), try #require(wanted.baseAddress))
                for row in 0..<tensor.shape[0] {
                    var values = [Float](repeating: 0, count: columns), expected = values
                    tensor.type.widen(base + tensor.rowOrder.storedRow(row) * tensor.type.byteCount(elements: columns), into: &values, count: columns)
                    original.type.widen(wantedBase + row * columns * 2, into: &expected, count: columns)
                    let rounded = tensor.type.narrowed(expected)
                    tensor.type.widen(rounded, into: &expected, count: columns)
                    #expect(values == expected, "\(name) \(row)")
                }
            }
            if type != .q8_0, type != .float16 {
                #expect(try Self.logits(Self.engine(gguf, .bfloat16), prompt) == Self.logits(Self.engine(directory.path, .bfloat16), prompt))
            }
        }
        let file = try GGUFFile(path: gguf)
        #expect(try file.strings("tokenizer.ggml.tokens")?.count == 300 && file.integer("tokenizer.ggml.eos_token_id") == 2)
        #expect(try ModelConfiguration(path: gguf).endTokens == [2])
    }

    @Test func rowOrdersAreInverse() {
        let order = RowOrder.interleavedHalves(headDim: 6)
        #expect((0..<12).map(order.storedRow) == [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11])
        #expect((0..<12).map { order.row(storedAt: order.storedRow($0)) } == Array(0..<12))
    }
}
