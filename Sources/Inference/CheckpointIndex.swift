import Foundation
import JSONReader
import Kernels

/// All tensors of a checkpoint under their Hugging Face names: of a directory with `model.safetensors` or the shards of
/// `model.safetensors.index.json`, or of a GGUF file.
public struct CheckpointIndex: Sendable {
    /// Of the directory, or of the GGUF file.
    public let path: String
    private let files: [any TensorFile]
    private let places: [String: Place]
    /// The checked head of a GGUF file.
    private let gguf: GGUFFile?

    private struct Place: Sendable {
        var file: Int
        var tensor: StoredTensor
    }

    static let greatestIndex = 64 << 20

    /// Opens a directory in Hugging Face's layout, or a GGUF file.
    /// - Throws: ``ModelError``
    public init(path: String) throws(ModelError) {
        if GGUFFile.isCandidate(path) {
            try self.init(GGUFFile(path: path))
        } else {
            try self.init(directory: path)
        }
    }

    /// - Throws: ``ModelError``
    public init(directory: String) throws(ModelError) {
        path = directory
        gguf = nil
        let indexPath = directory + "/model.safetensors.index.json"
        if FileManager.default.fileExists(atPath: indexPath) {
            (files, places) = try Self.sharded(directory: directory, indexPath: indexPath)
        } else {
            let file = try SafetensorsFile(path: directory + "/model.safetensors")
            files = [file]
            places = Dictionary(file.tensors.map { ($0.name, Place(file: 0, tensor: $0)) }, uniquingKeysWith: { first, _ in first })
        }
    }

    /// - Throws: ``ModelError`` naming a tensor that the architecture does not have.
    init(_ file: GGUFFile) throws(ModelError) {
        path = file.path
        gguf = file
        files = [file]
        var places: [String: Place] = [:]
        for tensor in try GGUFTensors.renamed(file) { places[tensor.name] = Place(file: 0, tensor: tensor) }
        self.places = places
    }

    private static func sharded(
        directory: String, indexPath: String
    ) throws(ModelError) -> ([SafetensorsFile], [String: Place]) {
        let contents = try MappedFile.contents(of: indexPath, atMost: greatestIndex)
        let root = try JSONValue.root(of: contents, file: indexPath)
        guard let map = root.object?["weight_map"]?.object else {
            throw ModelError(indexPath, "weight_map", .missing)
        }
        var shards: [String: Int] = [:], files: [SafetensorsFile] = [], places: [String: Place] = [:]
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
            guard let shard = shards[name], let stored = files[shard][tensor] else {
                throw ModelError(name, tensor, .missing)
            }
            // Keys differ in bytes, but may be equivalent in Unicode.
            guard places.updateValue(Place(file: shard, tensor: stored), forKey: tensor) == nil else {
                throw ModelError(indexPath, tensor, .duplicate)
            }
        }
        for file in files {
            for tensor in file.tensors where places[tensor.name].map({ files[$0.file] !== file }) ?? false {
                throw ModelError(file.path, tensor.name, .duplicate)
            }
        }
        return (files, places)
    }

    /// Shards lie beside their index and nowhere else.
    static func isPlainFileName(_ name: String) -> Bool {
        !name.isEmpty && !name.hasPrefix(".") && !name.contains("/") && !name.contains("\0") && !name.contains("\\")
    }

    /// Names of all tensors, sorted.
    public var names: [String] { places.keys.sorted() }

    /// What of the checkpoint besides its tensors decides its answers: `config.json`, or a GGUF file's metadata.
    func configurationBytes() throws(ModelError) -> [UInt8] {
        if let gguf { return gguf.headerBytes }
        return try MappedFile.contents(of: path + "/config.json", atMost: 4 << 20)
    }

    /// All files that the checkpoint is made of.
    var filePaths: [String] {
        let weights = files.map(\.path)
        return gguf == nil ? [path + "/config.json"] + weights : weights
    }

    /// Gives the pages of a tensor that was read back to the system, which can read them again.
    func release(_ name: String) {
        guard let bytes = tensor(name)?.bytes, let base = bytes.baseAddress else { return }
        MappedFile.release(UnsafeRawBufferPointer(start: base, count: bytes.count))
    }

    /// A tensor and its bytes, which are valid as long as this index lives.
    func tensor(_ name: String) -> (tensor: StoredTensor, bytes: UnsafeRawBufferPointer)? {
        guard let place = places[name] else { return nil }
        return (place.tensor, files[place.file].bytes(of: place.tensor))
    }

    public subscript(name: String) -> StoredTensor? { places[name]?.tensor }

    /// A tensor that has to be there, of that shape. `[rows, columns]`, or `[count]`.
    func require(
        _ name: String, shape: [Int]
    ) throws(ModelError) -> (tensor: StoredTensor, bytes: UnsafeRawBufferPointer) {
        guard let found = tensor(name) else { throw ModelError(path, name, .missing) }
        guard found.tensor.shape == shape else {
            throw ModelError(path, name, value: "\(found.tensor.shape), expected \(shape)", .shape)
        }
        return found
    }
}
