import Foundation
import Generation
import Inference
import Subprocess
import SystemPackage
import Testing

/// GGUF files as the programs read and write them.
@Suite struct GGUFCommandTests {
    private struct Tokens: Decodable { var tokens: [TokenID] }
    private struct Report: Decodable {
        var architecture: String
        var dtype: String
        var parameters: Int
        var weights: [Weights]
        struct Weights: Decodable {
            var storedType: String
            var loadedType: String
            var isKeptAsStored: Bool
        }
    }

    private static let fixtures = TestCluster.root.appendingPathComponent("Tests/Fixtures")

    private func run(_ program: String = "baton", _ arguments: [String]) async throws -> String {
        let result = try await Subprocess.run(
            .path(FilePath(TestCluster.programs.appendingPathComponent(program).path)), arguments: Arguments(arguments),
            output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
        #expect(result.terminationStatus == .exited(0), "\(arguments): \(result.standardError)")
        return result.standardOutput
    }

    private func inTemporaryDirectory(_ body: (String) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("baton-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        do { try await body(directory) } catch { Issue.record("\(error)") }
        try FileManager.default.removeItem(atPath: directory)
    }

    @Test func aConvertedModelAnswersAlike() async throws {
        try await inTemporaryDirectory { directory in
            let path = directory + "/tiny.gguf", common = ["generate", "Mira found a brass key in the old mill.", "--local", "--json", "--max-tokens", "25"]
            _ = try await run("baton", ["model", "convert", TestCluster.model, path])
            let original = try await run("baton", common + ["--model", TestCluster.model])
            let copy = try await run("baton", common + ["--model", path])
            let key = { (output: String) in try JSONDecoder().decode(Tokens.self, from: Data(output.utf8)).tokens }
            #expect(try key(original) == key(copy))
            #expect(try ModelConfiguration(path: path).endTokens == ModelConfiguration(path: TestCluster.model).endTokens)
            let text = "Once upon a time, 42 foxes…<|im_end|>"
            let ids = try await run("baton", ["tokenize", "--model", path, text, "--json"])
            #expect(try await run("baton", ["tokenize", "--model", TestCluster.model, text, "--json"]) == ids)
            #expect(try await run("coordinator", ["--model", path, "--check-config"]).contains("valid"))
            #expect(try await run("decode-worker", ["--model", path, "--check-config"]).contains("valid"))

            let kept = try await inspect([path]), converted = try await inspect([path, "--dtype", "float32"])
            #expect(kept.weights.map(\.storedType) == ["BF16"] && kept.weights.allSatisfy { $0.isKeptAsStored })
            #expect(converted.weights.map(\.loadedType) == ["float32"] && converted.weights.allSatisfy { !$0.isKeptAsStored })
            #expect(try await inspect([TestCluster.model]).parameters == kept.parameters)
        }
    }

    private func inspect(_ arguments: [String]) async throws -> Report {
        try JSONDecoder().decode(Report.self, from: Data(try await run("baton", ["model", "inspect", "--json"] + arguments).utf8))
    }

    @Test func aMadeModelHasItsVocabulary() async throws {
        try await inTemporaryDirectory { directory in
            let config = directory + "/config.json", path = directory + "/x.gguf"
            try Data(#"""
                {"architectures": ["LlamaForCausalLM"], "vocab_size": 1200, "hidden_size": 64, "intermediate_size": 96,
                 "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-05,
                 "bos_token_id": 1, "eos_token_id": 2}
                """#.utf8).write(to: URL(fileURLWithPath: config))
            _ = try await run("baton", ["model", "make", "--shape", config, "--format", "gguf", "--type", "q8_0", "--seed", "3", path])
            let report = try await inspect([path])
            #expect(report.dtype == "Q8_0" && report.weights.first?.loadedType == "int8" && report.weights.first?.isKeptAsStored == true)
            let ids = try JSONDecoder().decode(
                Tokens.self, from: Data(try await run("baton", ["tokenize", "--model", path, "thé \n cat", "--json"]).utf8)).tokens
            let list = ids.map(String.init).joined(separator: ",")
            #expect(try await run("baton", ["tokenize", "--model", path, "--decode", list]) == "thé \n cat\n")
            #expect(try await run("baton", ["generate", "the", "--local", "--model", path, "--max-tokens", "3", "--json"]).contains("tokens"))
        }
    }

    /// Files of llama.cpp's own package, from file to ids.
    @Test(arguments: ["gpt2", "llama3", "qwen2"])
    func vocabulariesOfFilesGiveTheIdsOfHuggingFace(kind: String) async throws {
        struct Expected: Decodable {
            var prefix: [TokenID]
            var ids: [[TokenID]]
        }
        let expected = try JSONDecoder().decode(
            Expected.self, from: Data(contentsOf: Self.fixtures.appendingPathComponent("tokenizers/\(kind).expected.json")))
        try await compare("vocabulary-\(kind).gguf", expected.ids.map { expected.prefix + $0 })
    }

    @Test func sentencePieceFilesGiveItsIds() async throws {
        struct Expected: Decodable { var ids: [[TokenID]?] }
        let expected = try JSONDecoder().decode(
            Expected.self, from: Data(contentsOf: Self.fixtures.appendingPathComponent("gguf/sentencepiece.json")))
        try await compare("sentencepiece.gguf", expected.ids.map { $0.map { [1] + $0 } })
    }

    /// A few of the lines: each is a process.
    private func compare(_ file: String, _ expected: [[TokenID]?]) async throws {
        let lines = try JSONDecoder().decode([String].self, from: Data(contentsOf: Self.fixtures.appendingPathComponent("tokenizers/lines.json")))
        let path = Self.fixtures.appendingPathComponent("gguf/\(file)").path
        var compared = 0
        for index in stride(from: 700, to: lines.count, by: 150) {
            guard let ids = expected[index], !lines[index].contains("<"), !lines[index].contains("["), !lines[index].contains("caf"),
                !lines[index].contains("\0"), !lines[index].hasPrefix("-")
            else { continue }
            let output = try await run("baton", ["tokenize", "--model", path, "--json", "--", lines[index]])
            #expect(try JSONDecoder().decode(Tokens.self, from: Data(output.utf8)).tokens == ids, "\(lines[index].debugDescription)")
            compared += 1
        }
        #expect(compared >= 5)
    }
}
