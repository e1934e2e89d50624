import ArgumentParser
import Foundation
import Inference
import Kernels
import ProgramSupport

/// What `baton model inspect` prints.
struct ModelReport: Encodable {
    var architecture: String
    var parameters: Int
    var layers: Int
    var hiddenSize: Int
    var intermediateSize: Int
    var heads: Int
    var keyValueHeads: Int
    var headDimension: Int
    var vocabularySize: Int
    var maxPositions: Int
    var tiedEmbeddings: Bool
    /// As the embedding is stored.
    var dtype: String
    /// What becomes of the matrices on load, by stored type.
    var weights: [WeightUse]
    var kvBytesPerToken: Int
    var weightBytes: Int
    /// Kernels that this machine would use.
    var kernels: String

    init(path: String, format wanted: WeightFormat) throws {
        let model = try ModelConfiguration(path: path)
        let checkpoint = try CheckpointIndex(path: path)
        let embedding = "model.embed_tokens.weight"
        guard let stored = checkpoint[embedding]?.type else {
            throw ValidationError("\(path): no tensor \(embedding)")
        }
        let format = wanted.resolved(stored: stored)
        let kernelSet = try KernelSet.select(environment: ProcessInfo.processInfo.environment)
        architecture = model.architecture.rawValue
        parameters = model.parameterCount
        layers = model.layerCount
        hiddenSize = model.hiddenSize
        intermediateSize = model.intermediateSize
        heads = model.headCount
        keyValueHeads = model.kvHeadCount
        headDimension = model.headDim
        vocabularySize = model.vocabularySize
        maxPositions = model.maxPositions
        tiedEmbeddings = model.tiedEmbeddings
        dtype = stored.rawValue
        weights = checkpoint.weightUses(format)
        kvBytesPerToken = model.kvBytesPerToken(format)
        weightBytes = model.parameterCount * format.byteCount
        kernels = "\(kernelSet.family(for: format)) by \(KernelSet.explanation(environment: ProcessInfo.processInfo.environment))"
    }

    var table: String {
        var rows: [(String, String)] = [
            ("architecture", architecture),
            ("parameters", "\(parameters)"),
            ("layers", "\(layers)"),
            ("hidden size", "\(hiddenSize), intermediate \(intermediateSize)"),
            ("attention", "\(heads) heads, \(keyValueHeads) KV heads, head dimension \(headDimension)"),
            ("vocabulary", "\(vocabularySize)" + (tiedEmbeddings ? ", output tied to the embedding" : "")),
            ("positions", "\(maxPositions)"),
        ]
        for (index, use) in weights.enumerated() { rows.append((index == 0 ? "stored as" : "", Self.line(use))) }
        rows += [
            ("KV cache", "\(ByteSize(bytes: kvBytesPerToken)) a token, \(ByteSize(bytes: kvBytesPerToken * maxPositions)) for the longest sequence"),
            ("weights in memory", "\(ByteSize(bytes: weightBytes))"),
            ("kernels here", kernels),
        ]
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { $0.0.padded(to: width) + "  " + $0.1 }.joined(separator: "\n")
    }

    private static func line(_ use: WeightUse) -> String {
        let stored = "\(use.storedType): \(use.tensors) matrices, \(ByteSize(bytes: use.storedBytes))"
        return stored + (use.isKeptAsStored ? ", kept as stored" : ", converted to \(use.loadedType) on load")
    }
}
