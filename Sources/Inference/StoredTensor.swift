import Kernels

/// A tensor in a file of a checkpoint.
public struct StoredTensor: Sendable, Hashable {
    public let name: String
    public let type: StoredType
    /// Slowest dimension first.
    public let shape: [Int]
    /// Bytes within the file.
    public let range: Range<Int>
    /// Of the slowest dimension.
    public let rowOrder: RowOrder

    init(name: String, type: StoredType, shape: [Int], range: Range<Int>, rowOrder: RowOrder = .natural) {
        self.name = name
        self.type = type
        self.shape = shape
        self.range = range
        self.rowOrder = rowOrder
    }
}

/// A file whose tensors are checked: they lie within it, and have the length of their shape.
protocol TensorFile: AnyObject, Sendable {
    var path: String { get }
    var tensors: [StoredTensor] { get }
    /// The bytes of a tensor; valid as long as the file object lives.
    func bytes(of tensor: StoredTensor) -> UnsafeRawBufferPointer
}
