import Foundation
import JSONReader
import Kernels

/// All tensors of a checkpoint directory: `model.safetensors`, or the shards of `model.safetensors.index.json`.
public struct CheckpointIndex: Sendable {
    public let directory: String
    private let files: [SafetensorsFile]
    private let owner: [String: Int]

    static let greatestIndex = 64 << 20

    /// - Throws: ``ModelError``
    public init(directory: String) throws(ModelError) {
        self.directory = directory
        let indexPath = directory + "/model.safetensors.index.json"
        if FileManager.default.fileExists(atPath: indexPath) {
            (files, owner) = try Self.sharded(directory: directory, indexPath: indexPath)
        } else {
            let file = try SafetensorsFile(path: directory + "/model.safetensors")
            files = [file]
            owner = Dictionary(file.tensors.map { ($0.name, 0) }, uniquingKeysWith: { first, _ in first })
        }
    }

    private static func sharded(
        directory: String, indexPath: String
    ) throws(ModelError) -> ([SafetensorsFile], [String: Int]) {
        let contents = try MappedFile.contents(of: indexPath, atMost: greatestIndex)
        let root = try JSONValue.root(of: contents, file: indexPath)
        guard let map = root.object?["weight_map"]?.object else {
            throw ModelError(indexPath, "weight_map", .missing)
        }
        var shards: [String: Int] = [:], files: [SafetensorsFile] = [], owner: [String: Int] = [:]
        for (key, place) in map {
            guard let tensor = key.text else { continue }
            guard let name = place.text else {
                throw ModelError(indexPath, "weight_map.\(tensor)", value: place.shown, .wrongType)
            }
            guard isPlainFileName(name) else { throw ModelError(indexPath, "weight_map.\(tensor)", value: name, .unsafePath) }
            if shards[name] == nil {
                shards[name] = files.count
                files.append(try SafetensorsFile(path: directory + "/" + name))
            }
            guard let shard = shards[name], files[shard][tensor] != nil else {
                throw ModelError(name, tensor, .missing)
            }
            // Keys differ in bytes, but may be equivalent in Unicode.
            guard owner.updateValue(shard, forKey: tensor) == nil else { throw ModelError(indexPath, tensor, .duplicate) }
        }
        for file in files {
            for tensor in file.tensors where owner[tensor.name].map({ files[$0] !== file }) ?? false {
                throw ModelError(file.path, tensor.name, .duplicate)
            }
        }
        return (files, owner)
    }

    /// Shards lie beside their index and nowhere else.
    static func isPlainFileName(_ name: String) -> Bool {
        !name.isEmpty && !name.hasPrefix(".") && !name.contains("/") && !name.contains("\0") && !name.contains("\\")
    }

    /// Names of all tensors, sorted.
    public var names: [String] { owner.keys.sorted() }

    /// A tensor and its bytes, which are valid as long as this index lives.
    func tensor(_ name: String) -> (tensor: SafetensorsFile.Tensor, bytes: UnsafeRawBufferPointer)? {
        guard let shard = owner[name], let tensor = files[shard][name] else { return nil }
        return (tensor, files[shard].bytes(of: tensor))
    }

    public subscript(name: String) -> SafetensorsFile.Tensor? { tensor(name)?.tensor }

    /// A tensor that has to be there, of that shape. `[rows, columns]`, or `[count]`.
    func require(
        _ name: String, shape: [Int]
    ) throws(ModelError) -> (tensor: SafetensorsFile.Tensor, bytes: UnsafeRawBufferPointer) {
        guard let found = tensor(name) else { throw ModelError(directory, name, .missing) }
        guard found.tensor.shape == shape else {
            throw ModelError(directory, name, value: "\(found.tensor.shape), expected \(shape)", .shape)
        }
        return found
    }
}
