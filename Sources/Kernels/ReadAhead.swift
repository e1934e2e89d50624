import CKernels

/// Blocks of memory that are read after a product. A product of many rows keeps the arithmetic units busy and leaves
/// memory idle: it can fetch them meanwhile. A hint, and no more: it changes no bit, and nobody reads through it.
public struct ReadAhead: Sendable {
    /// Of block 0.
    private let address: UInt
    private let blockByteCount: Int
    let blocks: ArraySlice<Int32>

    /// - Parameters:
    ///   - base: block 0.
    ///   - blocks: numbers of the blocks, in the order of reading.
    public init(base: UnsafeRawPointer, blockByteCount: Int, blocks: ArraySlice<Int32>) {
        self.init(address: UInt(bitPattern: base), blockByteCount: blockByteCount, blocks: blocks)
    }

    private init(address: UInt, blockByteCount: Int, blocks: ArraySlice<Int32>) {
        self.address = address
        self.blockByteCount = blockByteCount
        self.blocks = blocks
    }

    /// The `index`-th of `count` nearly equal shares.
    func share(_ index: Int, of count: Int) -> ReadAhead { part(from: index, to: index + 1, of: count) }

    /// Shares `from` ..< `to` of `count` nearly equal ones.
    public func part(from: Int, to: Int, of count: Int) -> ReadAhead {
        let begin = blocks.startIndex + blocks.count * from / count, end = blocks.startIndex + blocks.count * to / count
        return ReadAhead(address: address, blockByteCount: blockByteCount, blocks: blocks[begin..<end])
    }

    func withDescription(_ body: (UnsafePointer<bk_read_ahead>) -> Void) {
        blocks.withUnsafeBufferPointer { blocks in
            var description = bk_read_ahead(
                base: UnsafePointer(bitPattern: address), stride: blockByteCount, blocks: blocks.baseAddress, count: blocks.count)
            body(&description)
        }
    }
}
