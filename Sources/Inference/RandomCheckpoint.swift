import Foundation
import Kernels

/// Writes a checkpoint of random bfloat16 weights (`config.json`, `model.safetensors`; no tokenizer): the speed of a model
/// without the model. Equal seed and shape give equal bytes.
public enum RandomCheckpoint {
    /// Standard deviation of matrices and biases; norms are 1.
    static let deviation: Float = 0.02

    /// - Parameters:
    ///   - config: contents of a `config.json`; its dtype is replaced by bfloat16.
    ///   - directory: made if missing; existing files of these names are replaced.
    ///   - progress: called with the share written, 0 ... 1.
    /// - Throws: ``ModelError`` for a shape that is not supported, an error of Foundation if the disk refuses.
    public static func write(
        config: [UInt8], seed: UInt64, to directory: String, progress: (Double) -> Void = { _ in }
    ) throws {
        let entries = TensorList.entries(of: try ModelConfiguration(config: config))
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try bfloat16Config(config).write(to: URL(fileURLWithPath: directory + "/config.json"), options: .atomic)
        try PartialFile.write(to: directory + "/model.safetensors") { file in
            try writeTensors(entries, seed: seed, to: file, progress: progress)
        }
    }

    /// Writes the same weights as a GGUF file, with a vocabulary of the right size.
    /// - Parameters:
    ///   - config: contents of a `config.json`.
    ///   - type: of the matrices, see ``GGUFExport``; bfloat16 keeps them as they are, float32 their values.
    /// - Throws: ``ModelError`` for a shape that is not supported, an error of Foundation if the disk refuses.
    public static func writeGGUF(
        config: [UInt8], seed: UInt64, type: StoredType, to path: String, progress: (Double) -> Void = { _ in }
    ) throws {
        let configuration = try ModelConfiguration(config: config)
        let export = GGUFExport(
            configuration: configuration, type: type, vocabulary: SyntheticVocabulary.entries(of: configuration))
        var current: (number: Int, tensor: RandomTensor)?
        try export.write(to: path, progress: progress) { number, entry, rows in
            let begun = current.flatMap { $0.number == number ? $0.tensor : nil }
            var values = begun ?? RandomTensor(entry, number: number, seed: seed)
            defer { current = (number, values) }
            return values.next(rows.count * entry.rowCount.columns).map { Float(bitPattern: UInt32($0) << 16) }
        }
    }

    private static func bfloat16Config(_ config: [UInt8]) throws -> Data {
        guard var object = try JSONSerialization.jsonObject(with: Data(config)) as? [String: Any] else {
            throw ModelError("config.json", "", .wrongType)
        }
        object[object["dtype"] == nil ? "torch_dtype" : "dtype"] = "bfloat16"
        return try JSONSerialization.data(withJSONObject: object, options: [.prettyPrinted, .sortedKeys])
    }

    private static func writeTensors(
        _ entries: [TensorList.Entry], seed: UInt64, to file: FileHandle, progress: (Double) -> Void
    ) throws {
        try file.write(contentsOf: header(of: entries))
        let total = entries.reduce(0) { $0 + $1.count }, piece = 1 << 21
        var written = 0
        for (number, entry) in entries.enumerated() {
            var values = RandomTensor(entry, number: number, seed: seed)
            for start in stride(from: 0, to: entry.count, by: piece) {
                let count = min(piece, entry.count - start)
                try file.write(contentsOf: values.next(count).withUnsafeBytes { Data($0) })
                written += count
                progress(Double(written) / Double(total))
            }
        }
    }

    /// Length and JSON, padded with spaces to a multiple of 8 bytes.
    private static func header(of entries: [TensorList.Entry]) -> Data {
        var text = "{\"__metadata__\":{\"format\":\"pt\"}", offset = 0
        for entry in entries {
            let end = offset + entry.count * 2
            text += ",\"\(entry.name)\":{\"dtype\":\"BF16\",\"shape\":\(entry.shape),\"data_offsets\":[\(offset),\(end)]}"
            offset = end
        }
        text += "}"
        text += String(repeating: " ", count: (8 - text.utf8.count % 8) % 8)
        let length = withUnsafeBytes(of: UInt64(text.utf8.count).littleEndian) { Data($0) }
        return length + Data(text.utf8)
    }
}

/// The elements of one random tensor, from first to last.
private struct RandomTensor {
    private let isNorm: Bool
    private var generator: SplitMix64

    /// - Parameter number: its place in ``TensorList``.
    init(_ entry: TensorList.Entry, number: Int, seed: UInt64) {
        isNorm = entry.isNorm
        generator = SplitMix64(state: SplitMix64.mix(seed ^ SplitMix64.mix(UInt64(number))))
    }

    /// The next `count`, bfloat16.
    mutating func next(_ count: Int) -> [UInt16] {
        [UInt16](unsafeUninitializedCapacity: count) { buffer, initialized in
            for i in 0..<count { buffer[i] = isNorm ? 0x3f80 : generator.nearlyNormal() }
            initialized = count
        }
    }
}

/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014.
struct SplitMix64 {
    var state: UInt64

    static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return Self.mix(state)
    }

    /// A bfloat16 of mean 0 and the checkpoint's deviation: the sum of four uniform 16-bit numbers, scaled.
    mutating func nearlyNormal() -> UInt16 {
        let bits = next()
        let sum = Int32(bits & 0xffff) + Int32(bits >> 16 & 0xffff) + Int32(bits >> 32 & 0xffff) + Int32(bits >> 48)
        // The sum has mean 2 * 65535 and a standard deviation of 65536 / sqrt(3).
        let value = Float(sum - 131_070) * (1.7320508 / 65536 * RandomCheckpoint.deviation)
        let pattern = value.bitPattern
        return UInt16(truncatingIfNeeded: (pattern &+ 0x7fff &+ (pattern >> 16 & 1)) >> 16)
    }
}
