import CChecksum
import ClusterCore
import Synchronization

/// The bytes of the layer blocks of one ``KVBlocks`` message, one frame each, with their checksum.
///
/// The checksum covers what the bytes are as well as the bytes: valid KV of another request, layer or attempt does
/// not pass.
public struct KVPayload: Sendable {
    public let frames: [Frame]
    public let checksum: UInt32

    /// What arrived; not yet verified.
    init(frames: [Frame], checksum: UInt32) {
        self.frames = frames
        self.checksum = checksum
    }

    /// What is to be sent: lends the blocks to the transport and computes their checksum.
    public init(
        lending blocks: [UnsafeRawBufferPointer], of message: KVBlocks, modelHash: String,
        release: @escaping @Sendable () -> Void
    ) {
        var crc = Self.seed(message, modelHash, byteCount: blocks.first?.count ?? 0)
        for block in blocks { crc = bc_crc32c(crc, block.baseAddress, block.count) }
        checksum = crc
        if blocks.isEmpty { release() }
        let counter = LoanCounter(count: blocks.count, release: release)
        frames = blocks.map { Frame(lending: $0, release: counter.makeLoan()) }
    }

    /// What is to be kept or sent: copies the blocks and computes their checksum, in one pass.
    public init(copying blocks: [UnsafeRawBufferPointer], of message: KVBlocks, modelHash: String) {
        var crc = Self.seed(message, modelHash, byteCount: blocks.first?.count ?? 0)
        frames = blocks.map { block in
            Frame([UInt8](unsafeUninitializedCapacity: block.count) { target, count in
                crc = bc_crc32c_copy(crc, target.baseAddress, block.baseAddress, block.count)
                count = block.count
            })
        }
        checksum = crc
    }

    /// What came in one message and goes out in another.
    public init(resending frames: [Frame], of message: KVBlocks, modelHash: String) {
        var crc = Self.seed(message, modelHash, byteCount: frames.first?.count ?? 0)
        for frame in frames { crc = frame.withUnsafeBytes { bc_crc32c(crc, $0.baseAddress, $0.count) } }
        self.frames = frames
        checksum = crc
    }

    /// Copies the payload to where it belongs and checks it on the way, in one pass.
    ///
    /// - Parameter targets: one for each frame, of the same length.
    /// - Returns: whether the checksum is right. If not, the targets may hold anything.
    public func copyVerifying(
        _ message: KVBlocks, modelHash: String, into targets: [UnsafeMutableRawBufferPointer]
    ) -> Bool {
        guard targets.count == frames.count else { return false }
        var crc = Self.seed(message, modelHash, byteCount: targets.first?.count ?? 0)
        for (frame, target) in zip(frames, targets) {
            guard frame.count == target.count else { return false }
            crc = frame.withUnsafeBytes { bc_crc32c_copy(crc, target.baseAddress, $0.baseAddress, $0.count) }
        }
        return crc == checksum
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
