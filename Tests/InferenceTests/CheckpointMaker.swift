import Foundation
@testable import Inference

/// Hand-made files for the parsers' tests.
enum CheckpointMaker {
    /// A directory that is removed with the object.
    final class Directory {
        let path: String

        init() throws {
            path = FileManager.default.temporaryDirectory.appendingPathComponent("baton-\(UUID().uuidString)").path
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        @discardableResult
        func write(_ bytes: [UInt8], _ name: String) throws -> String {
            let file = path + "/" + name
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            return file
        }
    }

    /// A safetensors file with this header text and `dataCount` bytes of data.
    static func safetensors(_ header: String, dataCount: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8)
            + (0..<dataCount).map { UInt8(truncatingIfNeeded: $0 * 7) }
    }

    static let valid = #"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"#
        + #""b":{"dtype":"BF16","shape":[5],"data_offsets":[24,34]},"c":{"dtype":"F16","shape":[],"data_offsets":[34,36]}}"#
    static let validDataCount = 36

    static let config: [UInt8] = Array("""
        {"architectures": ["Qwen2ForCausalLM"], "vocab_size": 100, "hidden_size": 32, "intermediate_size": 48,
         "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
         "rope_theta": 10000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
         "high_freq_factor": 4.0, "original_max_position_embeddings": 64}, "rms_norm_eps": 1e-06,
         "use_sliding_window": true, "sliding_window": 16, "max_window_layers": 2, "hidden_act": "silu",
         "eos_token_id": [1, 2], "bos_token_id": 0, "torch_dtype": "float32", "tie_word_embeddings": true}
        """.utf8)

    /// The config with top-level members replaced (or removed, by nil).
    static func config(_ changes: [String: Any?]) throws -> [UInt8] {
        var object = try JSONSerialization.jsonObject(with: Data(config)) as? [String: Any] ?? [:]
        for (key, value) in changes { object[key] = value }
        return Array(try JSONSerialization.data(withJSONObject: object))
    }
}

/// Seeded mutations of a valid sample: flipped bits, truncation, splices, overwritten length and offset fields.
struct Mutations {
    var random: SplitMix64

    init(seed: UInt64) { random = SplitMix64(state: seed) }

    private mutating func below(_ bound: Int) -> Int { Int(random.next() % UInt64(max(bound, 1))) }

    mutating func mutate(_ sample: [UInt8]) -> [UInt8] {
        var bytes = sample
        for _ in 0...below(3) {
            switch below(5) {
            case 0: if !bytes.isEmpty { bytes[below(bytes.count)] ^= UInt8(1 << below(8)) }
            case 1: bytes.removeLast(below(bytes.count))
            case 2:
                let from = below(sample.count), count = below(min(24, sample.count - from))
                bytes.insert(contentsOf: sample[from..<from + count], at: below(bytes.count))
            case 3: for i in 0..<min(8, bytes.count) where below(3) == 0 { bytes[i] = UInt8(below(256)) }
            default: replaceNumber(&bytes)
            }
        }
        return bytes
    }

    /// Puts a hostile number in the place of some digits.
    private mutating func replaceNumber(_ bytes: inout [UInt8]) {
        let digits = bytes.indices.filter { (0x30...0x39).contains(bytes[$0]) }
        guard !digits.isEmpty else { return }
        let at = digits[below(digits.count)]
        var end = at
        while end < bytes.count, (0x30...0x39).contains(bytes[end]) { end += 1 }
        let hostile = ["0", "-1", "1", "4294967296", "9223372036854775807", "18446744073709551615", "1e999", "0.5", "3", "17"]
        bytes.replaceSubrange(at..<end, with: Array(hostile[below(hostile.count)].utf8))
    }
}
