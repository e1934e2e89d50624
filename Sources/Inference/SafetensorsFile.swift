import JSONReader
import Kernels

/// A safetensors file, mapped: `u64` header length, JSON header, data. Everything in the header is checked against the
/// file before it is used: the tensors' ranges tile the data without gap or overlap and have the length of their shape.
public final class SafetensorsFile: TensorFile {
    public typealias Tensor = StoredTensor

    public let path: String
    /// In the order of their data.
    public let tensors: [Tensor]
    private let index: [String: Tensor]
    private let map: MappedFile

    /// The format's own limit.
    static let greatestHeader = 100_000_000
    static let greatestRank = 8

    /// - Throws: ``ModelError``
    public init(path: String) throws(ModelError) {
        self.path = path
        map = try MappedFile(path: path)
        tensors = try Self.parse(map.bytes, path: path)
        index = try Self.index(tensors, path: path)
    }

    /// The checked tensors of a file of these bytes; `path` is for errors.
    package static func parse(_ bytes: UnsafeRawBufferPointer, path: String) throws(ModelError) -> [Tensor] {
        guard bytes.count >= 8 else { throw ModelError(path, "header length", value: "\(bytes.count) bytes", .truncated) }
        let declared = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard declared >= 2, declared <= greatestHeader else {
            throw ModelError(path, "header length", value: "\(declared)", .headerLength)
        }
        let headerCount = Int(declared)
        guard headerCount <= bytes.count - 8 else { throw ModelError(path, "header length", value: "\(declared)", .truncated) }
        let header: JSONDocument
        do { header = try JSONDocument(file: path, source: Array(bytes[8..<8 + headerCount])) } catch {
            throw ModelError(path, "header", value: "\(error)", .malformed)
        }
        return try tensors(header.root, dataStart: 8 + headerCount, fileEnd: bytes.count, path: path)
    }

    private static func index(_ tensors: [Tensor], path: String) throws(ModelError) -> [String: Tensor] {
        var index: [String: Tensor] = [:]
        // Keys of the header differ in bytes, but may be equivalent in Unicode.
        for tensor in tensors where index.updateValue(tensor, forKey: tensor.name) != nil {
            throw ModelError(path, tensor.name, .duplicate)
        }
        return index
    }

    public subscript(name: String) -> Tensor? { index[name] }

    /// The bytes of a tensor; valid as long as the file object lives.
    func bytes(of tensor: Tensor) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: map.bytes[tensor.range]) }

    private static func tensors(
        _ header: JSONValue, dataStart: Int, fileEnd: Int, path: String
    ) throws(ModelError) -> [Tensor] {
        guard let members = header.object else { throw ModelError(path, "header", value: header.shown, .wrongType) }
        var tensors: [Tensor] = []
        for (key, member) in members {
            guard let name = key.text, name != "__metadata__" else { continue }
            tensors.append(try tensor(name, member, dataStart: dataStart, fileEnd: fileEnd, path: path))
        }
        tensors.sort { ($0.range.lowerBound, $0.range.upperBound, $0.name) < ($1.range.lowerBound, $1.range.upperBound, $1.name) }
        var end = dataStart
        for tensor in tensors {
            guard tensor.range.lowerBound == end else { throw ModelError(path, tensor.name, value: "\(tensor.range)", .overlap) }
            end = tensor.range.upperBound
        }
        guard end == fileEnd else { throw ModelError(path, "data", value: "\(fileEnd - end) bytes left over", .overlap) }
        return tensors
    }

    private static func tensor(
        _ name: String, _ member: JSONValue, dataStart: Int, fileEnd: Int, path: String
    ) throws(ModelError) -> Tensor {
        func refuse(_ field: String, _ value: JSONValue?, _ reason: ModelError.Reason) -> ModelError {
            ModelError(path, "\(name.prefix(80)).\(field)", value: value?.shown ?? "nothing", reason)
        }
        guard let fields = member.object else { throw ModelError(path, name, value: member.shown, .wrongType) }
        guard let typeName = fields["dtype"]?.text else { throw refuse("dtype", fields["dtype"], .wrongType) }
        guard let type = StoredType(rawValue: typeName), !type.isQuantized else { throw refuse("dtype", fields["dtype"], .unsupported) }
        guard let dimensions = fields["shape"]?.array, dimensions.count <= greatestRank else {
            throw refuse("shape", fields["shape"], .wrongType)
        }
        var shape: [Int] = [], byteCount = type.bytesPerBlock
        for dimension in dimensions {
            guard let size = dimension.integer, size >= 0 else { throw refuse("shape", dimension, .outOfRange) }
            let (product, overflow) = byteCount.multipliedReportingOverflow(by: size)
            guard !overflow else { throw refuse("shape", dimension, .outOfRange) }
            byteCount = product
            shape.append(size)
        }
        guard var offsets = fields["data_offsets"]?.array, offsets.count == 2,
              let begin = offsets.next()?.integer, let end = offsets.next()?.integer
        else { throw refuse("data_offsets", fields["data_offsets"], .wrongType) }
        guard begin >= 0, end >= begin, end <= fileEnd - dataStart, end - begin == byteCount else {
            throw ModelError(path, "\(name.prefix(80)).data_offsets", value: "[\(begin), \(end)]", .offsets)
        }
        return Tensor(name: name, type: type, shape: shape, range: dataStart + begin..<dataStart + end)
    }
}
