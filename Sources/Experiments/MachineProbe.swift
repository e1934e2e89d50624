import CProbes
import Kernels

/// What the machine can do at this moment: shared machines drift, so a benchmark asks again beside every measurement.
public struct MachineProbe {
    /// Arithmetic of matrix products.
    public enum Arithmetic: String, Sendable, Hashable {
        case float32, bfloat16, int8
        /// Of `KernelSet.multipliesTiles`.
        case bfloat16Tiles, int8Tiles

        fileprivate var unit: bp_arithmetic {
            switch self {
            case .float32: BP_FLOAT32
            case .bfloat16: BP_BFLOAT16
            case .int8: BP_INT8
            case .bfloat16Tiles: BP_BFLOAT16_TILES
            case .int8Tiles: BP_INT8_TILES
            }
        }
    }

    private let team: ThreadTeam
    private let buffer: Memory

    /// Bytes of one reading: far more than a last-level cache holds.
    private static let bufferByteCount = 512 << 20
    private static let piece = 1 << 20

    /// - Throws: `KernelError` if memory is refused.
    public init(team: ThreadTeam) throws(KernelError) {
        self.team = team
        buffer = try Memory(byteCount: Self.bufferByteCount)
        // Pages that were never written are all one page.
        buffer.base.initializeMemory(as: UInt8.self, repeating: 1, count: Self.bufferByteCount)
    }

    /// Bytes per second that `threads` threads read from memory.
    public func readBandwidth(threads: Int) -> Double {
        let buffer = buffer
        let time = ContinuousClock().measure {
            team.forEachRange(of: Self.bufferByteCount / Self.piece, chunk: 4, threads: threads) { range, _ in
                _ = bp_read(buffer.base + range.lowerBound * Self.piece, range.count * Self.piece)
            }
        }
        return Double(Self.bufferByteCount) / time.seconds
    }

    /// Operations per second (two for each multiply-add) of `threads` threads.
    public func peak(_ arithmetic: Arithmetic, threads: Int) -> Double {
        let pieces = 32 * threads, iterations = 40_000
        let unit = arithmetic.unit
        let perPiece = bp_compute(unit, iterations)
        let time = ContinuousClock().measure {
            team.forEachRange(of: pieces, chunk: 1, threads: threads) { range, _ in
                for _ in range { _ = bp_compute(unit, iterations) }
            }
        }
        return perPiece * Double(pieces) / time.seconds
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
