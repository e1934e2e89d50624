import Kernels

extension GGUFFile {
    static let magic: [UInt8] = Array("GGUF".utf8)
    /// More than any model has, and few enough that the tables stay in proportion to the file.
    static let greatestMetadataCount = 4096, greatestTensorCount = 1 << 16
    static let greatestKey = 65_535
    /// ggml's own limits.
    static let greatestName = 63, greatestRank = 4
    static let greatestAlignment = 1 << 16

    /// The checked head of a file of these bytes, and nothing else: `path` is for errors, no file is opened.
    package static func parse(_ bytes: UnsafeRawBufferPointer, path: String) throws(ModelError) -> Contents {
        var cursor = GGUFCursor(bytes, path: path)
        let start = try cursor.take(4, "magic")
        guard bytes[start].elementsEqual(magic) else {
            throw ModelError(path, "magic", value: "\(Array(bytes[start]))", .magic)
        }
        let version = try version(&cursor)
        // A tensor's name of one letter, rank, one dimension, type and offset.
        let tensorCount = try cursor.count(of: 33, atMost: greatestTensorCount, "tensor_count")
        let metadata = try metadata(&cursor)
        let alignment = try alignment(metadata, path: path)
        var infos: [TensorInfo] = [], names: Set<String> = []
        for number in 0..<tensorCount {
            let info = try TensorInfo(&cursor, number: number, alignment: alignment)
            guard names.insert(info.name).inserted else { throw ModelError(path, info.name, .duplicate) }
            infos.append(info)
        }
        let tensors = try place(infos, from: cursor.offset, alignment: alignment, fileEnd: bytes.count, path: path)
        return Contents(version: version, metadata: metadata, tensors: tensors, headerCount: cursor.offset)
    }

    private static func version(_ cursor: inout GGUFCursor) throws(ModelError) -> UInt32 {
        let version = try cursor.number(UInt32.self, "version")
        if (2...3).contains(version) { return version }
        let isForeign = (1...3).contains(version.byteSwapped)
        throw ModelError(
            cursor.path, "version",
            value: isForeign ? "\(version.byteSwapped), big-endian" : "\(version)", .unsupported)
    }

    private static func metadata(_ cursor: inout GGUFCursor) throws(ModelError) -> [String: GGUFValue] {
        // A key's length, its one letter, a type and a byte.
        let count = try cursor.count(of: 14, atMost: greatestMetadataCount, "metadata_kv_count")
        var metadata: [String: GGUFValue] = [:]
        for number in 0..<count {
            let key = try cursor.string("metadata key \(number)", lengths: 1...greatestKey)
            let field = String(key.prefix(80))
            let value = try cursor.value(try cursor.valueType(field), field)
            guard metadata.updateValue(value, forKey: key) == nil else { throw ModelError(cursor.path, field, .duplicate) }
        }
        return metadata
    }

    private static func alignment(_ metadata: [String: GGUFValue], path: String) throws(ModelError) -> Int {
        let key = "general.alignment"
        guard let value = metadata[key] else { return 32 }
        guard case .integer(let alignment) = value else { throw ModelError(path, key, value: value.brief, .wrongType) }
        guard (1...greatestAlignment).contains(alignment), alignment & (alignment - 1) == 0 else {
            throw ModelError(path, key, value: value.brief, .outOfRange)
        }
        return alignment
    }

    /// One entry of the list of tensors; its place is relative to the data.
    private struct TensorInfo {
        var name: String
        var shape: [Int]
        var type: StoredType
        var offset: Int
        var byteCount: Int

        init(_ cursor: inout GGUFCursor, number: Int, alignment: Int) throws(ModelError) {
            name = try cursor.string("tensor name \(number)", lengths: 1...GGUFFile.greatestName)
            let path = cursor.path, name = name
            func refuse(_ field: String, _ value: some CustomStringConvertible, _ reason: ModelError.Reason) -> ModelError {
                ModelError(path, "\(name).\(field)", value: "\(value)", reason)
            }
            let rank = try cursor.number(UInt32.self, "\(name).rank")
            guard (1...UInt32(GGUFFile.greatestRank)).contains(rank) else { throw refuse("rank", rank, .outOfRange) }
            var elements = 1
            shape = []
            for _ in 0..<rank {
                let size = try cursor.number(UInt64.self, "\(name).shape")
                guard size >= 1, let dimension = Int(exactly: size) else { throw refuse("shape", size, .outOfRange) }
                let (product, overflow) = elements.multipliedReportingOverflow(by: dimension)
                guard !overflow else { throw refuse("shape", size, .outOfRange) }
                elements = product
                // The file names the fastest dimension first.
                shape.insert(dimension, at: 0)
            }
            let number = try cursor.number(UInt32.self, "\(name).type")
            guard let type = GGUFTensorType.known[number] else {
                throw refuse("type", GGUFTensorType.unread[number] ?? "\(number)", .unsupported)
            }
            self.type = type
            guard let columns = shape.last, columns % type.elementsPerBlock == 0 else {
                throw refuse("shape", "\(shape) of \(type.rawValue)", .shape)
            }
            let (bytes, overflow) = (elements / type.elementsPerBlock).multipliedReportingOverflow(by: type.bytesPerBlock)
            guard !overflow else { throw refuse("shape", "\(shape)", .outOfRange) }
            byteCount = bytes
            let declared = try cursor.number(UInt64.self, "\(name).offset")
            guard let offset = Int(exactly: declared) else { throw refuse("offset", declared, .offsets) }
            guard offset % alignment == 0 else { throw refuse("offset", declared, .misaligned) }
            self.offset = offset
        }
    }

    /// Puts the tensors at their places: one after the other, with nothing between them but what the alignment asks for.
    private static func place(
        _ infos: [TensorInfo], from headerEnd: Int, alignment: Int, fileEnd: Int, path: String
    ) throws(ModelError) -> [StoredTensor] {
        // Of places within the file: the sum stays far below the range of Int.
        func aligned(_ offset: Int) -> Int { (offset + alignment - 1) / alignment * alignment }
        let dataStart = aligned(headerEnd)
        var end = 0, tensors: [StoredTensor] = []
        tensors.reserveCapacity(infos.count)
        for info in infos.sorted(by: { ($0.offset, $0.name) < ($1.offset, $1.name) }) {
            guard info.offset <= fileEnd, info.byteCount <= fileEnd, dataStart + info.offset <= fileEnd - info.byteCount else {
                throw ModelError(path, "\(info.name).offset", value: "\(info.offset) (\(info.byteCount) bytes)", .offsets)
            }
            guard info.offset == aligned(end) else { throw ModelError(path, "\(info.name).offset", value: "\(info.offset)", .overlap) }
            end = info.offset + info.byteCount
            tensors.append(StoredTensor(
                name: info.name, type: info.type, shape: info.shape, range: dataStart + info.offset..<dataStart + end))
        }
        let leftOver = fileEnd - dataStart - end
        guard leftOver < alignment else { throw ModelError(path, "data", value: "\(leftOver) bytes left over", .overlap) }
        return tensors
    }
}

/// Types of tensors by their number in the file (`ggml_type`).
enum GGUFTensorType {
    static let known: [UInt32: StoredType] = [
        0: .float32, 1: .float16, 2: .q4_0, 3: .q4_1, 6: .q5_0, 7: .q5_1, 8: .q8_0, 12: .q4_K, 13: .q5_K, 14: .q6_K, 30: .bfloat16,
    ]
    /// Those that are not read, for the error.
    static let unread: [UInt32: String] = [
        9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL",
        21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 34: "TQ1_0",
        35: "TQ2_0", 39: "MXFP4",
    ]

    static func number(of type: StoredType) -> UInt32? { known.first { $0.value == type }?.key }
}
