import Crypto
import Kernels

/// Identity of a model's weights and configuration: SHA-256 over `config.json` (or a GGUF file's metadata) and over name,
/// type, shape and contents of every tensor in order of names, so that it does not depend on how a checkpoint is sharded.
///
/// Contents enter as the digests of their 8 MiB pieces, which are computed on all threads: with SHA instructions a
/// gigabyte costs about half a second of one core, less than reading it.
enum ModelHash {
    static let piece = 8 << 20

    static func compute(config: [UInt8], checkpoint: CheckpointIndex, team: ThreadTeam, threads: Int) -> String {
        var pieces: [Piece] = []
        var hasher = SHA256()
        hasher.update(data: Array(SHA256.hash(data: config)))
        for name in checkpoint.names {
            guard let (tensor, bytes) = checkpoint.tensor(name) else { continue }
            hasher.update(data: Array("\(name)\u{0}\(tensor.type.rawValue)\u{0}\(tensor.shape)\u{0}".utf8))
            for start in stride(from: 0, to: bytes.count, by: piece) {
                let end = min(start + piece, bytes.count)
                pieces.append(Piece(bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<end])))
            }
        }
        for digest in digests(of: pieces, team: team, threads: threads) { hasher.update(data: digest) }
        return hasher.finalize().map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    /// Unchecked: read-only bytes of a map that outlives the computation.
    private struct Piece: @unchecked Sendable { let bytes: UnsafeRawBufferPointer }

    private static func digests(of pieces: [Piece], team: ThreadTeam, threads: Int) -> [[UInt8]] {
        let size = SHA256.byteCount
        var all = [UInt8](repeating: 0, count: pieces.count * size)
        all.withUnsafeMutableBytes { buffer in
            nonisolated(unsafe) let out = buffer // Each piece has its own bytes of it.
            team.forEachRange(of: pieces.count, chunk: 1, threads: threads) { range, _ in
                for i in range {
                    SHA256.hash(data: pieces[i].bytes).withUnsafeBytes { digest in
                        for (offset, byte) in digest.enumerated() { out[i * size + offset] = byte }
                    }
                }
            }
        }
        return stride(from: 0, to: all.count, by: size).map { Array(all[$0..<$0 + size]) }
    }
}
