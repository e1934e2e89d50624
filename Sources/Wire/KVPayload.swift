import CChecksum
import ClusterCore
import Synchronization

/// The bytes of the layer blocks of one ``KVBlocks`` message, in order, with their checksum. A frame holds one or more whole
/// blocks: sockets read and write what is long in one piece, and what is short through a buffer of their own.
///
/// The checksum covers what the bytes are as well as the bytes: valid KV of another request, layer or attempt does
/// not pass.
public struct KVPayload: Sendable {
    public let frames: [Frame]
    public let checksum: UInt32
    /// Bytes of a layer block.
    public let blockByteCount: Int

    /// What arrived; not yet verified.
    init(frames: [Frame], blockByteCount: Int, checksum: UInt32) {
        self.frames = frames
        self.blockByteCount = blockByteCount
        self.checksum = checksum
    }

    /// What is to be sent: lends the blocks to the transport and computes their checksum. Blocks that lie one behind the
    /// other are one frame.
    public init(
        lending blocks: [UnsafeRawBufferPointer], of message: KVBlocks, modelHash: String,
        release: @escaping @Sendable () -> Void
    ) {
        var crc = Self.seed(message, modelHash, byteCount: blocks.first?.count ?? 0)
        for block in blocks { crc = bc_crc32c(crc, block.baseAddress, block.count) }
        checksum = crc
        blockByteCount = blocks.first?.count ?? 0
        if blocks.isEmpty { release() }
        let runs = Self.runs(of: blocks), counter = LoanCounter(count: runs.count, release: release)
        frames = runs.map { Frame(lending: $0, release: counter.makeLoan()) }
    }

    private static func runs(of blocks: [UnsafeRawBufferPointer]) -> [UnsafeRawBufferPointer] {
        var runs: [UnsafeRawBufferPointer] = []
        for block in blocks {
            if let last = runs.last, let start = last.baseAddress, start + last.count == block.baseAddress {
                runs[runs.count - 1] = UnsafeRawBufferPointer(start: start, count: last.count + block.count)
            } else {
                runs.append(block)
            }
        }
        return runs
    }

    /// What is to be kept or sent: copies the blocks, one frame each, and computes their checksum, in one pass.
    public init(copying blocks: [UnsafeRawBufferPointer], of message: KVBlocks, modelHash: String) {
        blockByteCount = blocks.first?.count ?? 0
        var crc = Self.seed(message, modelHash, byteCount: blocks.first?.count ?? 0)
        frames = blocks.map { block in
            Frame([UInt8](unsafeUninitializedCapacity: block.count) { target, count in
                crc = bc_crc32c_copy(crc, target.baseAddress, block.baseAddress, block.count)
                count = block.count
            })
        }
        checksum = crc
    }

    /// What came in one message, one frame for each block, and goes out in another.
    public init(resending frames: [Frame], of message: KVBlocks, modelHash: String) {
        blockByteCount = frames.first?.count ?? 0
        var crc = Self.seed(message, modelHash, byteCount: frames.first?.count ?? 0)
        for frame in frames { crc = frame.withUnsafeBytes { bc_crc32c(crc, $0.baseAddress, $0.count) } }
        self.frames = frames
        checksum = crc
    }

    /// Copies the payload to where it belongs and checks it on the way, in one pass.
    ///
    /// - Parameter targets: one for each block, of its length.
    /// - Returns: whether the checksum is right. If not, the targets may hold anything.
    public func copyVerifying(
        _ message: KVBlocks, modelHash: String, into targets: [UnsafeMutableRawBufferPointer]
    ) -> Bool {
        guard targets.allSatisfy({ $0.count == blockByteCount }), frames.allSatisfy({ holdsWholeBlocks($0.count) }),
            frames.reduce(0, { $0 + $1.count }) == targets.count * blockByteCount
        else { return false }
        var crc = Self.seed(message, modelHash, byteCount: blockByteCount), remaining = targets[...]
        for frame in frames {
            frame.withUnsafeBytes { bytes in
                for start in stride(from: 0, to: bytes.count, by: blockByteCount) {
                    let block = UnsafeRawBufferPointer(rebasing: bytes[start..<start + blockByteCount])
                    crc = bc_crc32c_copy(crc, remaining.removeFirst().baseAddress, block.baseAddress, block.count)
                }
            }
        }
        return crc == checksum
    }

    /// Whether a frame of so many bytes is one of one or more blocks.
    private func holdsWholeBlocks(_ byteCount: Int) -> Bool {
        blockByteCount > 0 && byteCount > 0 && byteCount.isMultiple(of: blockByteCount)
    }

    /// The checksum of what the payload is.
    private static func seed(_ message: KVBlocks, _ modelHash: String, byteCount: Int) -> UInt32 {
        let fields: [UInt64] = [
            message.epoch.rawValue, message.attempt.request.rawValue, UInt64(message.attempt.ordinal),
            UInt64(clamping: message.tokenCount), UInt64(clamping: message.range.layer),
            UInt64(clamping: message.range.first), UInt64(clamping: message.range.count),
            // The shape and element type of a layer block follow from the model and its size.
            UInt64(clamping: byteCount),
        ]
        let crc = fields.map(\.littleEndian).withUnsafeBytes { bc_crc32c(0, $0.baseAddress, $0.count) }
        return Array(modelHash.utf8).withUnsafeBytes { bc_crc32c(crc, $0.baseAddress, $0.count) }
    }
}

/// Calls a closure when the last of several loans is returned, however often each is.
private final class LoanCounter: Sendable {
    private let remaining: Atomic<Int>
    private let release: @Sendable () -> Void

    init(count: Int, release: @escaping @Sendable () -> Void) {
        remaining = Atomic(count)
        self.release = release
    }

    func makeLoan() -> @Sendable () -> Void {
        let isReturned = Flag()
        return {
            guard !isReturned.value.exchange(true, ordering: .acquiringAndReleasing) else { return }
            if self.remaining.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { self.release() }
        }
    }

    private final class Flag: Sendable {
        let value = Atomic(false)
    }
}
