import Foundation
import Generation
import Kernels

/// Writes a model as a GGUF file that llama.cpp reads too: its names, its order of rows, vectors in float32.
struct GGUFExport {
    let configuration: ModelConfiguration
    /// Of the matrices; those whose rows are no whole blocks of it are stored as bfloat16.
    let type: StoredType
    /// Keys of the vocabulary; they go before those of the configuration.
    let vocabulary: [GGUFEntry]
    /// The token that ends a text, if the tokenizer says so.
    var endToken: TokenID?

    static let alignment = 32

    /// A tensor of the file.
    private struct Target {
        var name: String
        var entry: TensorList.Entry
        var type: StoredType
        var order: RowOrder
        var offset: Int
        var byteCount: Int { type.byteCount(elements: entry.count) }
    }

    /// - Parameter values: rows (or elements of a vector) of tensor `number` of ``TensorList``, asked for once and in order.
    /// - Throws: ``ModelError`` if the format has no place for the model; else as ``PartialFile``.
    func write(
        to path: String, progress: (Double) -> Void,
        values: (_ number: Int, _ entry: TensorList.Entry, _ rows: Range<Int>) throws -> [Float]
    ) throws {
        let taken = Set(vocabulary.map(\.key))
        let keys = try GGUFKeys.entries(of: configuration, type: type, endToken: endToken).filter { !taken.contains($0.key) }
            + vocabulary
        let factors = GGUFKeys.ropeFactors(of: configuration)
        let targets = try targets(hasRopeFactors: factors != nil)
        try PartialFile.write(to: path) { file in
            try file.write(contentsOf: Data(header(keys, targets)))
            let total = targets.reduce(0) { $0 + $1.entry.count }
            var written = 0
            for (number, target) in targets.enumerated() {
                if target.name == GGUFTensors.ropeFactors {
                    try file.write(contentsOf: Data(target.type.narrowed(factors ?? [])))
                } else {
                    try write(target, to: file) { rows in
                        written += rows.count * target.entry.rowCount.columns
                        progress(min(Double(written) / Double(total), 1))
                        return try values(number, target.entry, rows)
                    }
                }
                try file.write(contentsOf: Data(count: Self.padding(target.byteCount)))
            }
        }
        progress(1)
    }

    private static func padding(_ count: Int) -> Int { (alignment - count % alignment) % alignment }

    private func targets(hasRopeFactors: Bool) throws(ModelError) -> [Target] {
        var entries = TensorList.entries(of: configuration)
        if hasRopeFactors { entries.append(.init(name: GGUFTensors.ropeFactors, shape: [configuration.headDim / 2])) }
        let architecture = GGUFKeys.architecture(of: configuration)
        var targets: [Target] = [], offset = 0
        for entry in entries {
            guard let name = GGUFTensors.ggufName(entry.name) else { throw ModelError("GGUF", entry.name, .unsupported) }
            let columns = entry.rowCount.columns
            let stored: StoredType = entry.shape.count == 1 ? .float32 : columns % type.elementsPerBlock == 0 ? type : .bfloat16
            let target = Target(
                name: name, entry: entry, type: stored,
                order: GGUFTensors.rowOrder(of: entry.name, architecture: architecture, headDim: configuration.headDim),
                offset: offset)
            targets.append(target)
            offset += target.byteCount + Self.padding(target.byteCount)
        }
        return targets
    }

    private func header(_ keys: [GGUFEntry], _ targets: [Target]) -> [UInt8] {
        var bytes = GGUFFile.magic
        bytes.appendNumber(3 as UInt32)
        bytes.appendNumber(UInt64(targets.count))
        bytes.appendNumber(UInt64(keys.count))
        for key in keys { key.append(to: &bytes) }
        for target in targets {
            bytes.appendString(Array(target.name.utf8))
            bytes.appendNumber(UInt32(target.entry.shape.count))
            for size in target.entry.shape.reversed() { bytes.appendNumber(UInt64(size)) }
            bytes.appendNumber(GGUFTensorType.number(of: target.type) ?? 0)
            bytes.appendNumber(UInt64(target.offset))
        }
        return bytes + [UInt8](repeating: 0, count: Self.padding(bytes.count))
    }

    /// Tensors in their own order go in pieces of a few megabytes; those that are reordered, which are small, as a whole.
    private func write(_ target: Target, to file: FileHandle, values: (Range<Int>) throws -> [Float]) throws {
        let (rows, columns) = target.entry.rowCount
        guard target.order == .natural else {
            let natural = try values(0..<rows)
            var stored: [Float] = []
            stored.reserveCapacity(natural.count)
            for place in 0..<rows {
                let row = target.order.row(storedAt: place)
                stored += natural[row * columns..<(row + 1) * columns]
            }
            return try file.write(contentsOf: Data(target.type.narrowed(stored)))
        }
        let piece = max(1, (1 << 21) / columns)
        for start in stride(from: 0, to: rows, by: piece) {
            try file.write(contentsOf: Data(target.type.narrowed(try values(start..<min(start + piece, rows)))))
        }
    }
}

extension TensorList.Entry {
    /// A vector counts as rows of one element.
    var rowCount: (rows: Int, columns: Int) { (shape[0], shape.count > 1 ? shape[1] : 1) }
}
