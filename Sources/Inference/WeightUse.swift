import Kernels

/// What becomes of a checkpoint's weight matrices of one stored type when they are loaded.
public struct WeightUse: Sendable, Hashable, Encodable {
    /// As the checkpoint has them, e.g. `BF16`, `Q4_K`.
    public var storedType: String
    public var tensors: Int
    public var parameters: Int
    /// Bytes in the file.
    public var storedBytes: Int
    /// As they are in memory.
    public var loadedType: String
    /// Whether each weight keeps its bits.
    public var isKeptAsStored: Bool
}

extension CheckpointIndex {
    /// The matrices by stored type, those with the most weights first. (Vectors are float32 in memory, whatever they were.)
    public func weightUses(_ format: NumberFormat) -> [WeightUse] {
        let matrices = names.compactMap { self[$0] }.filter { $0.shape.count == 2 }
        let uses = Dictionary(grouping: matrices, by: \.type).map { type, tensors in
            WeightUse(
                storedType: type.rawValue, tensors: tensors.count,
                parameters: tensors.reduce(0) { $0 + $1.shape.reduce(1, *) }, storedBytes: tensors.reduce(0) { $0 + $1.range.count },
                loadedType: format.rawValue, isKeptAsStored: type == format.storedType)
        }
        return uses.sorted { ($1.parameters, $0.storedType) < ($0.parameters, $1.storedType) }
    }
}

extension NumberFormat {
    /// What a checkpoint calls weights that need no conversion.
    fileprivate var storedType: StoredType {
        switch self {
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .int8: .q8_0
        }
    }
}
