import ClusterCore
import Foundation
import Inference
import Kernels
import LocalCluster
import Testing

extension ClusterTests {
    /// Workers of one host map one copy of the packed weights, and hold little else besides their KV.
    @Test(.timeLimit(.minutes(3))) func workersHoldOneCopyOfTheWeights() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("baton-shared-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let config = #"""
            {"architectures": ["LlamaForCausalLM"], "vocab_size": 8000, "hidden_size": 512, "intermediate_size": 1536,
             "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 256,
             "rms_norm_eps": 1e-05, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": true}
            """#
        let model = directory + "/shared.gguf", caches = directory + "/cache"
        try RandomCheckpoint.writeGGUF(config: Array(config.utf8), seed: 1, type: .bfloat16, to: model)
        try await TestCluster.run(
            model: model, prefillWorkers: 2, decodeWorkers: 2, workerArguments: ["--weight-cache", caches]
        ) { cluster in
            let file = try #require(
                FileManager.default.contentsOfDirectory(atPath: caches).first { $0.hasSuffix(".packed") })
            let attributes = try FileManager.default.attributesOfItem(atPath: caches + "/" + file)
            let size = try #require(attributes[.size] as? Int)
            #expect(size > 50 << 20)
            let workers = try Self.processes(mentioning: caches).map { try MemoryUse(process: $0, of: file) }
            #expect(workers.count == 4)
            for worker in workers {
                #expect(worker.mapped > size * 9 / 10, "each maps all of it")
                #expect(worker.anonymous < (64 << 20) + (96 << 20), "\(worker): KV pool, runtime and no second copy")
            }
            let shared = workers.reduce(0) { $0 + $1.share }
            #expect(shared < size * 11 / 10, "\(shared) bytes in all for a file of \(size)")
        }
    }

    private static func processes(mentioning text: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { entry in
            guard Int(entry) != nil, let line = FileManager.default.contents(atPath: "/proc/\(entry)/cmdline") else { return false }
            return String(decoding: line, as: UTF8.self).contains(text)
        }
    }
}

/// What a process has in memory, in bytes.
private struct MemoryUse {
    /// Of a file: pages that are mapped and present, and this process's part of them, counted evenly among all that map them.
    var mapped = 0, share = 0
    /// Not of any file.
    var anonymous = 0

    init(process: String, of file: String) throws {
        // Files there have no length, so they have to be read to their end.
        let handle = try #require(FileHandle(forReadingAtPath: "/proc/\(process)/smaps"))
        let text = String(decoding: try handle.readToEnd() ?? Data(), as: UTF8.self)
        var isFile = false
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.contains("-"), !words[0].hasSuffix(":") { isFile = line.hasSuffix(file) }
            guard words.count == 3, let kibibytes = Int(words[1]) else { continue }
            switch words[0] {
            case "Rss:" where isFile: mapped += kibibytes << 10
            case "Pss:" where isFile: share += kibibytes << 10
            case "Anonymous:": anonymous += kibibytes << 10
            default: break
            }
        }
    }
}
