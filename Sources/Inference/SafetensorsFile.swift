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
        index = Dictionary(tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The checked tensors of a file of these bytes; `path` is for errors.
    static func parse(_ bytes: UnsafeRawBufferPointer, path: String) throws(ModelError) -> [Tensor] {
        guard bytes.count >= 8 else { throw ModelError(path, "header length", value: "\(bytes.count) bytes", .truncated) }
        let declared = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard declared >= 2, declared <= greatestHeader else {
            throw ModelError(path, "header length", value: "\(declared)", .headerLength)
        }
        let headerCount = Int(declared)
        guard headerCount <= bytes.count - 8 else { throw ModelError(path, "header length", value: "\(declared)", .truncated) }
        let header: JSON
        do { header = try JSON(parsing: bytes[8..<8 + headerCount]) } catch {
            throw ModelError(path, "header", value: "\(error)", .malformed)
        }
        return try tensors(header, dataStart: 8 + headerCount, fileEnd: bytes.count, path: path)
    }

    public subscript(name: String) -> Tensor? { index[name] }

    /// The bytes of a tensor; valid as long as the file object lives.
    func bytes(of tensor: Tensor) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: map.bytes[tensor.range]) }

    private static func tensors(
        _ header: JSON, dataStart: Int, fileEnd: Int, path: String
    ) throws(ModelError) -> [Tensor] {
        guard case .object(let members) = header else { throw ModelError(path, "header", value: header.brief, .wrongType) }
        var tensors: [Tensor] = []
        for (name, member) in members where name != "__metadata__" {
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
        _ name: String, _ member: JSON, dataStart: Int, fileEnd: Int, path: String
    ) throws(ModelError) -> Tensor {
        func refuse(_ field: String, _ value: JSON?, _ reason: ModelError.Reason) -> ModelError {
            ModelError(path, "\(name.prefix(80)).\(field)", value: value?.brief ?? "nothing", reason)
        }
        guard case .object(let fields) = member else { throw ModelError(path, name, value: member.brief, .wrongType) }
        guard case .string(let typeName)? = fields["dtype"] else { throw refuse("dtype", fields["dtype"], .wrongType) }
        guard let type = StoredType(rawValue: typeName), !type.isQuantized else { throw refuse("dtype", fields["dtype"], .unsupported) }
        guard case .array(let dimensions)? = fields["shape"], dimensions.count <= greatestRank else {
            throw refuse("shape", fields["shape"], .wrongType)
        }
        var shape: [Int] = [], byteCount = type.bytesPerBlock
        for dimension in dimensions {
            guard case .integer(let size) = dimension, size >= 0 else { throw refuse("shape", dimension, .outOfRange) }
            let (product, overflow) = byteCount.multipliedReportingOverflow(by: size)
            guard !overflow else { throw refuse("shape", dimension, .outOfRange) }
            byteCount = product
            shape.append(size)
        }
        guard case .array(let offsets)? = fields["data_offsets"], offsets.count == 2,
              case .integer(let begin) = offsets[0], case .integer(let end) = offsets[1]
        else { throw refuse("data_offsets", fields["data_offsets"], .wrongType) }
        guard begin >= 0, end >= begin, end <= fileEnd - dataStart, end - begin == byteCount else {
            throw ModelError(path, "\(name.prefix(80)).data_offsets", value: "[\(begin), \(end)]", .offsets)
        }
        return Tensor(name: name, type: type, shape: shape, range: dataStart + begin..<dataStart + end)
    }
}
