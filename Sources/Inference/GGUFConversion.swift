import Generation
import Kernels

/// Turns a checkpoint into one GGUF file.
public enum GGUFConversion {
    /// - Parameters:
    ///   - path: directory of a Hugging Face model, or another GGUF file.
    ///   - vocabulary: keys of the file for the tokenizer.
    ///   - endToken: the token that ends a text, if the tokenizer says so.
    ///   - type: of the matrices; without one they stay as they are stored, or become bfloat16 if they are quantized.
    ///   - progress: called with the share written, 0 ... 1.
    /// - Throws: ``ModelError``, or an error of Foundation if the disk refuses.
    public static func write(
        _ path: String, vocabulary: [GGUFEntry], endToken: TokenID?, type: StoredType?, to out: String,
        progress: (Double) -> Void = { _ in }
    ) throws {
        let configuration = try ModelConfiguration(path: path), checkpoint = try CheckpointIndex(path: path)
        let stored = checkpoint["model.embed_tokens.weight"]?.type ?? .bfloat16
        let export = GGUFExport(
            configuration: configuration, type: type ?? (stored.isQuantized ? .bfloat16 : stored), vocabulary: vocabulary,
            endToken: endToken)
        try export.write(to: out, progress: progress) { _, entry, rows in
            let (tensor, bytes) = try checkpoint.require(entry.name, shape: entry.shape)
            guard let base = bytes.baseAddress else { throw ModelError(path, entry.name, .shape) }
            let columns = entry.rowCount.columns, rowBytes = tensor.type.byteCount(elements: columns)
            return [Float](unsafeUninitializedCapacity: rows.count * columns) { buffer, initialized in
                for (index, row) in rows.enumerated() {
                    guard let out = buffer.baseAddress else { break }
                    tensor.type.widen(
                        base + tensor.rowOrder.storedRow(row) * rowBytes, into: out + index * columns, count: columns)
                }
                initialized = rows.count * columns
            }
        }
    }
}
