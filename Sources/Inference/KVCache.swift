import Kernels

/// The paged K and V tensors of a model: `[layers][blocks]`, each (layer, block) one contiguous, 64-byte aligned range of
/// ``bytesPerBlockPerLayer`` bytes, laid out as ``KVBlockLayout`` says. That range is what travels between workers.
///
/// Behind the pool's blocks each layer has one more, the *null block*: zeros that nobody writes, to pad block tables with.
///
/// The pool is a fixed piece of zeroed memory; which block belongs to whom is the caller's business (`BlockPool`).
///
/// Unchecked: the geometry is immutable. The bytes are not guarded: the engine writes blocks of the batch it runs, and a
/// transport thread may read or write other blocks meanwhile; the owner of the block numbers keeps the two apart.
public final class KVCache: @unchecked Sendable {
    public let layout: KVBlockLayout
    public let layerCount: Int
    public let blockCount: Int
    private let memory: Memory

    /// - Throws: ``KernelError/outOfMemory(byteCount:)`` if the system refuses the memory, or its size overflows.
    public init(layout: KVBlockLayout, layerCount: Int, blockCount: Int) throws(KernelError) {
        precondition(layerCount >= 1 && blockCount >= 1, "KV cache of \(layerCount) layers, \(blockCount) blocks")
        let (perLayer, overflow) = layout.byteCount.multipliedReportingOverflow(by: blockCount + 1)
        let (total, overflow2) = perLayer.multipliedReportingOverflow(by: layerCount)
        guard !overflow, !overflow2 else { throw .outOfMemory(byteCount: Int.max) }
        self.layout = layout
        self.layerCount = layerCount
        self.blockCount = blockCount
        memory = try Memory(byteCount: total)
    }

    public var blockSize: Int { layout.blockSize }
    /// Of every layer; not in the pool, never written.
    public var nullBlock: Int32 { Int32(blockCount) }
    public var format: NumberFormat { layout.format }
    public var bytesPerBlockPerLayer: Int { layout.byteCount }
    /// Over all layers.
    public var bytesPerBlock: Int { layout.byteCount * layerCount }

    /// The bytes of (layer, block), for sending; valid as long as the cache lives.
    public func bytes(layer: Int, block: Int32) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(mutableBytes(layer: layer, block: block))
    }

    /// The bytes of (layer, block), for receiving; valid as long as the cache lives.
    public func mutableBytes(layer: Int, block: Int32) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: address(layer: layer, block: block), count: layout.byteCount)
    }

    /// Copies all layers of block `source` to block `target` (copy-on-write).
    public func copyBlock(_ source: Int32, to target: Int32) {
        for layer in 0..<layerCount {
            address(layer: layer, block: target)
                .copyMemory(from: address(layer: layer, block: source), byteCount: layout.byteCount)
        }
    }

    /// Gives the memory of blocks back to the system, as far as it is whole pages; what they held is gone. Nobody may read
    /// or write them meanwhile.
    public func releaseMemory(of blocks: [Int32]) {
        // Neighbours share pages that neither could give back alone.
        var runs: [Range<Int32>] = []
        for block in blocks.sorted() {
            if let last = runs.last, last.upperBound == block {
                runs[runs.count - 1] = last.lowerBound..<block + 1
            } else {
                runs.append(block..<block + 1)
            }
        }
        for layer in 0..<layerCount {
            for run in runs {
                let start = address(layer: layer, block: run.lowerBound) - memory.base
                memory.discard(from: start, byteCount: run.count * layout.byteCount)
            }
        }
    }

    func address(layer: Int, block: Int32) -> UnsafeMutableRawPointer {
        precondition(layer >= 0 && layer < layerCount, "layer \(layer) of \(layerCount)")
        precondition(block >= 0 && block < blockCount, "block \(block) of \(blockCount)")
        return memory.base + (layer * (blockCount + 1) + Int(block)) * layout.byteCount
    }
}
