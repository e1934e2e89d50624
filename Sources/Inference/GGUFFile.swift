import Foundation
import Kernels

/// A GGUF file of version 2 or 3, little-endian, mapped: metadata, then the list of tensors, then their data.
/// Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md
///
/// Everything is checked against the file before it is used: counts and lengths by what is left, and the tensors, at
/// multiples of the alignment, tile the data without overlap and have the length of their shape and type.
public final class GGUFFile: TensorFile {
    /// What a file's head says.
    package struct Contents: Sendable {
        var version: UInt32
        var metadata: [String: GGUFValue]
        /// In the order of their data.
        package var tensors: [StoredTensor]
        /// Bytes of metadata and list of tensors.
        var headerCount: Int
    }

    public let path: String
    let contents: Contents
    private let index: [String: Int]
    private let map: MappedFile

    var tensors: [StoredTensor] { contents.tensors }

    /// Maps and checks the file; its data is not touched.
    /// - Throws: ``ModelError``
    public init(path: String) throws(ModelError) {
        self.path = path
        map = try MappedFile(path: path)
        contents = try Self.parse(map.bytes, path: path)
        index = Dictionary(contents.tensors.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        if let parts = contents.metadata["split.count"], parts != .integer(0), parts != .integer(1) {
            throw ModelError(path, "split.count", value: "\(parts.brief) (join the parts first: llama-gguf-split --merge)", .unsupported)
        }
    }

    /// Whether a model's path means a GGUF file: it is no directory, and named like one or there at all.
    public static func isCandidate(_ path: String) -> Bool {
        var isDirectory = ObjCBool(false)
        let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
        return exists ? !isDirectory.boolValue : path.hasSuffix(".gguf")
    }

    subscript(name: String) -> StoredTensor? { index[name].map { contents.tensors[$0] } }

    func bytes(of tensor: StoredTensor) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: map.bytes[tensor.range]) }

    /// Metadata and list of tensors, as they are written.
    var headerBytes: [UInt8] { Array(map.bytes[..<contents.headerCount]) }

    // MARK: Metadata

    /// A metadata value, or `nil` if there is none of this key.
    func value(_ key: String) -> GGUFValue? { contents.metadata[key] }

    func refuse(_ key: String, _ reason: ModelError.Reason) -> ModelError {
        ModelError(path, key, value: value(key)?.brief ?? "", reason)
    }

    /// - Throws: ``ModelError`` if the value has another type; as all of these.
    public func integer(_ key: String) throws(ModelError) -> Int? {
        guard let value = value(key) else { return nil }
        guard case .integer(let number) = value else { throw refuse(key, .wrongType) }
        return number
    }

    public func flag(_ key: String) throws(ModelError) -> Bool? {
        guard let value = value(key) else { return nil }
        guard case .bool(let flag) = value else { throw refuse(key, .wrongType) }
        return flag
    }

    public func text(_ key: String) throws(ModelError) -> String? {
        guard let value = value(key) else { return nil }
        guard case .string(let text) = value else { throw refuse(key, .wrongType) }
        return text
    }

    /// - Throws: ``ModelError`` also if there is none.
    public func requiredText(_ key: String) throws(ModelError) -> String {
        guard let text = try text(key) else { throw refuse(key, .missing) }
        return text
    }

    private func array(_ key: String) throws(ModelError) -> (array: GGUFArray, cursor: GGUFCursor)? {
        guard let value = value(key) else { return nil }
        guard case .array(let array) = value else { throw refuse(key, .wrongType) }
        return (array, GGUFCursor(map.bytes, path: path, offset: array.range.lowerBound))
    }

    /// An array of strings, as bytes: they may be no UTF-8.
    public func strings(_ key: String) throws(ModelError) -> [[UInt8]]? {
        guard let (array, start) = try array(key) else { return nil }
        guard array.elementType == .string else { throw refuse(key, .wrongType) }
        var cursor = start, strings: [[UInt8]] = []
        strings.reserveCapacity(array.count)
        for _ in 0..<array.count { strings.append(Array(map.bytes[try cursor.stringRange(key)])) }
        return strings
    }

    /// An array of integers of any width.
    public func integers(_ key: String) throws(ModelError) -> [Int]? {
        guard let (array, start) = try array(key) else { return nil }
        var cursor = start, integers: [Int] = []
        integers.reserveCapacity(array.count)
        guard array.elementType.byteCount != nil else { throw refuse(key, .wrongType) }
        for _ in 0..<array.count {
            guard case .integer(let number) = try cursor.value(array.elementType, key) else { throw refuse(key, .wrongType) }
            integers.append(number)
        }
        return integers
    }

    /// An array of float32.
    public func floats(_ key: String) throws(ModelError) -> [Float]? {
        guard let (array, start) = try array(key) else { return nil }
        guard array.elementType == .float32 else { throw refuse(key, .wrongType) }
        var cursor = start, floats: [Float] = []
        floats.reserveCapacity(array.count)
        for _ in 0..<array.count { floats.append(Float(bitPattern: try cursor.number(UInt32.self, key))) }
        return floats
    }

    /// The elements of an array, or `nil` if there is none; whatever their type.
    func elementCount(_ key: String) throws(ModelError) -> Int? { try array(key)?.array.count }
}
